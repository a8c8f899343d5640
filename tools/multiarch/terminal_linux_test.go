package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLiveProgress builds on a terminal, which util-linux's script provides. Stages are redrawn in place, and the
// display is gone before the results are printed. The go command does not compile before the terminal shows that it
// does: however fast the machine is, the stage lasts long enough to be shown.
func TestLiveProgress(t *testing.T) {
	tool(t, "script")
	t.Run("color", func(t *testing.T) {
		assert.Contains(t, liveBuild(t, "TERM=xterm", "NO_COLOR="), "\x1b[36m")
	})
	t.Run("NO_COLOR", func(t *testing.T) {
		assert.NotRegexp(t, "\x1b\\[[0-9;]*m", liveBuild(t, "TERM=xterm", "NO_COLOR=1"))
	})
}

// liveBuild returns all that a build writes to a terminal.
func liveBuild(t *testing.T, env ...string) string {
	t.Helper()
	s := newServices(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	typescript := filepath.Join(t.TempDir(), "typescript")
	real, err := exec.LookPath("go")
	require.NoError(t, err)
	bin := t.TempDir()
	wrapper := fmt.Sprintf("#!/bin/sh\n"+
		"[ \"$1\" != build ] || until grep -q 'one, two.*compile' %q; do sleep 0.1; done\nexec %q \"$@\"\n", typescript, real)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(wrapper), 0o755))
	cmd := exec.CommandContext(ctx, "script", "-qefc", "stty cols 120 rows 40 && multiarch build", typescript)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MULTIARCH_CACHE="+s.cache,
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, env...)
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
	return screen
}
