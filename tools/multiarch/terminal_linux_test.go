package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLiveProgress builds on a terminal, which the script program of util-linux provides: there are bars, they end, and
// the results come after them.
func TestLiveProgress(t *testing.T) {
	tool(t, "script")
	s := newServices(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	typescript := filepath.Join(t.TempDir(), "typescript")
	cmd := exec.CommandContext(ctx, "script", "-qec", "stty cols 120 rows 40 && multiarch build", typescript)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MULTIARCH_CACHE="+s.cache, "TERM=xterm")
	require.NoError(t, cmd.Run())
	content, err := os.ReadFile(typescript)
	require.NoError(t, err)
	assert.Regexp(t, `one +\[=+>?-*\] +2 of 2`, string(content))
	assert.NotContains(t, string(content), "(2 of 2)", "that is how it is said where there is no terminal")
	assert.Regexp(t, `(?s)2 of 2.*\r\none sha256:[0-9a-f]{64}\r\ntwo sha256:[0-9a-f]{64}\r\n`, string(content))
}
