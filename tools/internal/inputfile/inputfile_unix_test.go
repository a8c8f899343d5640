//go:build unix

package inputfile_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

func TestOnlyRegularFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("file"), []byte("content"), 0o644))
	require.NoError(t, os.Symlink("file", at("link")))
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o644))
	require.NoError(t, os.Symlink("pipe", at("link-to-pipe")))
	l, err := net.Listen("unix", at("socket"))
	require.NoError(t, err)
	defer l.Close()
	for _, name := range []string{"file", "link"} {
		content, err := inputfile.ReadFile(at(name))
		require.NoError(t, err, name)
		assert.Equal(t, "content", string(content))
	}
	for name, kind := range map[string]string{
		at("pipe"): "named pipe", at("link-to-pipe"): "named pipe", at("socket"): "socket", dir: "directory",
		"/dev/null": "device", "/dev/zero": "device",
	} {
		_, err := inputfile.ReadFile(name)
		var wrong *inputfile.KindError
		require.ErrorAs(t, err, &wrong, name)
		assert.Contains(t, err.Error(), kind)
	}
	_, err = inputfile.ReadFile(at("missing"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestStreamsEndWithTheContext(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o644))

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := inputfile.OpenStream(ctx, pipe)
	require.ErrorIs(t, err, context.DeadlineExceeded, "no writer")

	go func() {
		w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if assert.NoError(t, err) {
			_, _ = w.WriteString("content")
			_ = w.Close()
		}
	}()
	r, err := inputfile.OpenStream(t.Context(), pipe)
	require.NoError(t, err)
	content, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "content", string(content))
	require.NoError(t, r.Close())

	w, err := os.OpenFile(pipe, os.O_RDWR, 0) // a writer that writes nothing
	require.NoError(t, err)
	defer w.Close()
	ctx, cancel = context.WithCancel(t.Context())
	r, err = inputfile.OpenStream(ctx, pipe)
	require.NoError(t, err)
	time.AfterFunc(30*time.Millisecond, cancel)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
}
