package main

import (
	"context"
	"io"
	"os"
	"os/signal"
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
	assert.EqualValues(t, 20552*1024,
		highWater([]byte("Name:\tko\nVmSize:\t 1 kB\nVmHWM:\t   20552 kB\nVmRSS:\t   9 kB\n")))
	assert.Zero(t, highWater([]byte("Name:\tzombie\nState:\tZ\n")))
	assert.Zero(t, highWater(nil))
	assert.Zero(t, highWater([]byte("\nVmHWM:\tmuch kB\n")))
	self, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	assert.Greater(t, highWater(self), int64(1<<20))
}

// TestEndOfContextEndsGrandchildren checks that no descendant keeps writing to a directory that is being removed.
func TestEndOfContextEndsGrandchildren(t *testing.T) {
	w, err := openWorkDir(io.Discard)
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
	}, time.Minute, 5*time.Millisecond)
}

// TestGentleEnd checks that a gentle command can handle the interrupt.
func TestGentleEnd(t *testing.T) {
	// The test may run with SIGINT ignored, and a shell cannot trap a signal that was ignored when it started.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	w, err := openWorkDir(io.Discard)
	require.NoError(t, err)
	defer func() { assert.NoError(t, w.close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, told := filepath.Join(w.dir, "ready"), filepath.Join(w.dir, "told")
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(ready); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err = w.output(ctx, command{
		args:   []string{"sh", "-c", "trap 'touch told; exit 1' INT; touch ready; while :; do sleep 0.01; done"},
		dir:    w.dir,
		gentle: true,
	})
	require.Error(t, err)
	assert.FileExists(t, told)
}

func TestReadStat(t *testing.T) {
	pid, parent, ticks, ok := readStat([]byte("42 (a) b (c) S 7 1 1 0 -1 4 5 6 7 8 100 20 3 1 20 0 1 0 9\n"))
	require.True(t, ok)
	assert.Equal(t, []int{42, 7}, []int{pid, parent})
	assert.EqualValues(t, 124, ticks)
	for _, broken := range []string{
		"", "42 (a", ")(", "42 (a) S 7", "x (a) S 7 1 1 0 -1 4 5 6 7 8 100 20 3 1",
		"42 (a) S 7 1 1 0 -1 4 5 6 7 8 100 much 3 1",
	} {
		_, _, _, ok := readStat([]byte(broken))
		assert.False(t, ok, broken)
	}
}

// TestFamilyTime checks that the time of grandchildren counts while they run and afterwards.
func TestFamilyTime(t *testing.T) {
	assert.Zero(t, familyTime(-1))
	w, err := openWorkDir(io.Discard)
	require.NoError(t, err)
	defer func() { assert.NoError(t, w.close()) }()
	cmd, _ := w.prepare(t.Context(),
		command{args: []string{"sh", "-c", "sh -c 'i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); done; sleep 100' & wait"}})
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Cancel(); _ = cmd.Wait() }()
	assert.Eventually(t, func() bool { return familyTime(cmd.Process.Pid) >= 30*time.Millisecond }, time.Minute,
		10*time.Millisecond)
	_, err = w.measure(t.Context(),
		[]command{{args: []string{"sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"}}})
	require.NoError(t, err)
	child := familyTime(cmd.Process.Pid) // first, because it may still grow
	assert.GreaterOrEqual(t, familyTime(os.Getpid()), child)
}
