package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHighWater(t *testing.T) {
	assert.EqualValues(t, 20552*1024, highWater([]byte("Name:\tko\nVmSize:\t 1 kB\nVmHWM:\t   20552 kB\nVmRSS:\t   9 kB\n")))
	assert.Zero(t, highWater([]byte("Name:\tzombie\nState:\tZ\n")))
	assert.Zero(t, highWater(nil))
	assert.Zero(t, highWater([]byte("\nVmHWM:\tmuch kB\n")))
	self, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	assert.Greater(t, highWater(self), int64(1<<20))
}

// TestEndOfContextEndsGrandchildren: a go command must not go on writing into a folder that is being removed.
func TestEndOfContextEndsGrandchildren(t *testing.T) {
	w, err := openWorkshop(io.Discard)
	require.NoError(t, err)
	defer func() { assert.NoError(t, w.close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	file := filepath.Join(w.dir, "pid")
	go func() {
		for ctx.Err() == nil {
			if content, _ := os.ReadFile(file); strings.HasSuffix(string(content), "\n") {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err = w.measure(ctx, []command{{args: []string{"sh", "-c", "sleep 100 & echo $! >pid; wait"}, dir: w.dir}})
	require.Error(t, err)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	assert.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, 0) != nil
	}, 5*time.Second, 5*time.Millisecond)
}
