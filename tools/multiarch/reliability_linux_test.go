package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// services is a project with two services, and the environment variable of its cache.
type services struct {
	dir, cache string
}

func newServices(t *testing.T) services {
	s := services{t.TempDir(), t.TempDir()}
	s.write(t, "go.mod", "module example.com/services\n\ngo 1.24\n")
	s.write(t, "multiarch.yaml", "version: 1\nplatforms: [linux/amd64, linux/arm64]\nimages:\n"+
		"  one: {go: {package: ./one}}\n  two: {go: {package: ./two}, base: scratch}\n")
	s.edit(t, 0)
	return s
}

func (s services) write(t *testing.T, name, content string) {
	t.Helper()
	file := filepath.Join(s.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
}

func (s services) edit(t *testing.T, n int) {
	t.Helper()
	s.write(t, "one/main.go", fmt.Sprintf("package main\n\nfunc main() { println(\"one %d\") }\n", n))
	s.write(t, "two/main.go", fmt.Sprintf("package main\n\nfunc main() { println(\"two %d\") }\n", n))
}

func (s services) command(args ...string) *exec.Cmd {
	cmd := exec.Command("multiarch", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MULTIARCH_CACHE="+s.cache)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (s services) build(t *testing.T) string {
	t.Helper()
	out, err := s.command("build", "-q").Output()
	require.NoError(t, err)
	return string(out)
}

// validLayout reads every blob of a layout if it exists.
func validLayout(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "index.json")); os.IsNotExist(err) {
		return
	}
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 2)
	for _, d := range manifest.Manifests {
		child, err := index.ImageIndex(d.Digest)
		require.NoError(t, err)
		require.NoError(t, validate.Index(child))
	}
}

// TestKilledAtAnyMoment kills builds at random moments. The layout is always complete, old or new, and the next build
// has the same result as one with an empty cache.
func TestKilledAtAnyMoment(t *testing.T) {
	skipShort(t)
	s := newServices(t)
	start := time.Now()
	s.build(t)
	whole := time.Since(start)
	for round := 1; round <= 15; round++ {
		s.edit(t, round)
		if round%5 == 0 {
			require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "dist")))
		}
		cmd := s.command("build", "-q")
		require.NoError(t, cmd.Start())
		time.Sleep(rand.N(whole))
		// Every other time, its children survive, as if only one process is killed. They must not write to directories
		// that are removed when the test ends.
		target := cmd.Process.Pid
		t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		if round%2 == 0 {
			target = -target
		}
		_ = syscall.Kill(target, syscall.SIGKILL)
		_ = cmd.Wait()
		validLayout(t, filepath.Join(s.dir, "dist"))
		if round%3 == 0 {
			got := s.build(t)
			validLayout(t, filepath.Join(s.dir, "dist"))
			clean := s
			clean.cache = t.TempDir()
			assert.Equal(t, clean.build(t), got, "round %d", round)
		}
	}
	temporary, err := filepath.Glob(filepath.Join(s.dir, "dist", "blobs", "sha256", "*"))
	require.NoError(t, err)
	for _, blob := range temporary {
		assert.Len(t, filepath.Base(blob), 64, "nothing half-written is left in the layout")
	}
}

// TestInterruptStopsChildren replaces the go command with one that never ends.
func TestInterruptStopsChildren(t *testing.T) {
	s := newServices(t)
	real, err := exec.LookPath("go")
	require.NoError(t, err)
	bin, pids := t.TempDir(), filepath.Join(t.TempDir(), "pids")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = build ] || exec %q \"$@\"\necho $$ >> %q\nexec sleep 600\n", real, pids)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755))
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			_ = os.Remove(pids)
			cmd := s.command("build", "-q")
			cmd.Env = append(cmd.Env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			var stderr strings.Builder
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			require.Eventually(t, func() bool { _, err := os.Stat(pids); return err == nil }, 2*time.Minute, 10*time.Millisecond)
			require.NoError(t, cmd.Process.Signal(signal))
			_ = cmd.Wait()
			if signal != syscall.SIGKILL {
				assert.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
				assert.Contains(t, stderr.String(), "interrupted")
			}
			content, err := os.ReadFile(pids)
			require.NoError(t, err)
			for _, field := range strings.Fields(string(content)) {
				var pid int
				_, err := fmt.Sscan(field, &pid)
				require.NoError(t, err)
				assert.Eventually(t, func() bool { return !alive(pid) }, time.Minute, 10*time.Millisecond, "a child is still there")
			}
			assert.NoDirExists(t, filepath.Join(s.dir, "dist"))
		})
	}
}

// alive reports whether a process is running. Orphans that ended may remain as zombies.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// TestConcurrentBuilds runs several processes with one cache and one layout.
func TestConcurrentBuilds(t *testing.T) {
	skipShort(t)
	s := newServices(t)
	var all []*exec.Cmd
	outputs := make([]strings.Builder, 4)
	for i := range outputs {
		cmd := s.command("build", "-q")
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		require.NoError(t, cmd.Start())
		all = append(all, cmd)
	}
	for i, cmd := range all {
		require.NoError(t, cmd.Wait(), outputs[i].String())
		assert.Equal(t, outputs[0].String(), outputs[i].String())
	}
	validLayout(t, filepath.Join(s.dir, "dist"))
}
