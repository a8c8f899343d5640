package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLiveProgress builds on a terminal, which util-linux's script provides. Stages are redrawn in place, and the display is
// gone before the results are printed.
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
	screen := string(content)
	assert.Regexp(t, `one, two.*compile`, screen)
	assert.NotContains(t, screen, "one, two: compile", "a line for logs")
	assert.Regexp(t, `one: built for 2 platforms in `, screen)
	assert.Regexp(t, `(?s)built for.*\r\none sha256:[0-9a-f]{64}\r\ntwo sha256:[0-9a-f]{64}\r\n`, screen)
	results := screen[strings.LastIndex(screen, "\r\none sha256:"):]
	assert.NotContains(t, results, "\x1b", "nothing is erased after the first result")
}
