package reference_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/rules/reference"
)

var update = flag.Bool("update", false, "write the reference into tools/rules/README.md")

// TestReferenceIsCurrent holds tools/rules/README.md against the rules.
func TestReferenceIsCurrent(t *testing.T) {
	got, err := reference.Markdown(os.DirFS(".."))
	require.NoError(t, err)
	file := filepath.Join("..", "README.md")
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "to write it: go test ./tools/rules/reference -update")
	assert.Equal(t, string(want), string(got), "to accept what is generated: go test ./tools/rules/reference -update")
}
