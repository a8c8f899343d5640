package layer_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func TestCollectReturnsTheErrorOfRefuse(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	for _, name := range []string{"a/x", "a/b/y"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	refused := errors.New("not this one")
	var got []string
	source := layer.Source{From: "a", To: "/", Refuse: func(_ *os.Root, file string) error {
		got = append(got, file)
		if file == "a/x" {
			return refused
		}
		return nil
	}}
	_, err = layer.Collect(tree, source)
	assert.Equal(t, refused, err)
	assert.Equal(t, refused, layer.Check(tree, source))
	assert.Equal(t, []string{"a/b/y", "a/x", "a/b/y", "a/x"}, got)

	source.Glob = []string{"b/**"}
	_, err = layer.Collect(tree, source)
	assert.NoError(t, err, "files that no pattern matches are not refused")
}
