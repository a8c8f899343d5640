//go:build unix

package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWaitingForInputEndsWithASignal interrupts commands that read from pipes without a writer.
func TestWaitingForInputEndsWithASignal(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o644))
	silent, writer := io.Pipe()
	defer writer.Close()
	for _, args := range [][]string{
		{"load", "--input", pipe},
		{"load", "--input", "-"},
		{"index", "create", "localhost:1/x", "--spec", pipe},
		{"login", "localhost:1", "--username", "x", "--password-stdin"},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, interrupt)
		ended := make(chan int, 1)
		go func() { ended <- execute(ctx, args, silent, io.Discard, io.Discard) }()
		select {
		case code := <-ended:
			assert.Equal(t, exitInterrupted, code, strings.Join(args, " "))
		case <-time.After(5 * time.Minute):
			t.Errorf("%s goes on", strings.Join(args, " "))
		}
		interrupt()
	}
}
