package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// workDir is the temporary directory of a comparison. It also prints progress messages.
type workDir struct {
	dir    string
	stderr io.Writer
}

func openWorkDir(stderr io.Writer) (*workDir, error) {
	dir, err := os.MkdirTemp("", "multiarch-bench-")
	if err != nil {
		return nil, fmt.Errorf("creating a temporary directory: %w", err)
	}
	w := &workDir{dir, stderr}
	// Temporary files of programs go there too, so that killed programs leave nothing behind.
	for _, d := range []string{"bin", "tmp", "docker"} {
		if err := os.Mkdir(w.path(d), 0o755); err != nil {
			return nil, fmt.Errorf("creating a temporary directory: %w", err)
		}
	}
	return w, nil
}

// close removes the directory. It retries because children of a killed program may still be writing.
func (w *workDir) close() (err error) {
	for range 20 {
		if err = os.RemoveAll(w.dir); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("cleaning up: %w", err)
}

func (w *workDir) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

func (w *workDir) logf(format string, args ...any) { fmt.Fprintf(w.stderr, format+"\n", args...) }

// command is a program to run.
type command struct {
	args []string
	dir  string   // "" is the current directory
	env  []string // added to the inherited environment
	// gentle interrupts the program instead of killing it, so that it can stop its servers.
	gentle bool
}

// prepare prepares a command to start. When ctx ends, the command is killed with all its children. A gentle command is
// interrupted first and has some seconds to exit.
func (w *workDir) prepare(ctx context.Context, c command) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir = c.dir
	cmd.Env = append(append(inherited(), "TMPDIR="+w.path("tmp")), c.env...)
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	bind(cmd)
	if c.gentle {
		soften(cmd)
	}
	return cmd, &stderr
}

// inherited returns the environment without variables that affect the tools. ko rejects even an empty GOOS.
func inherited() []string {
	steering := []string{"GOOS=", "GOARCH=", "GOAMD64=", "GOARM=", "GOARM64=", "KO", "MULTIARCH_", "SOURCE_DATE_EPOCH="}
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(steering, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}

// explain returns an error with the command and its stderr.
func (c command) explain(err error, stderr *bytes.Buffer) error {
	return fmt.Errorf("running %s: %w\n%s", strings.Join(c.args, " "), err, bytes.TrimSpace(stderr.Bytes()))
}

// output runs a command and returns its stdout.
func (w *workDir) output(ctx context.Context, c command) (string, error) {
	cmd, stderr := w.prepare(ctx, c)
	out, err := cmd.Output()
	if err != nil {
		return "", c.explain(err, stderr)
	}
	return string(out), nil
}

// multiarch compiles the tool in the current checkout.
func (w *workDir) multiarch(ctx context.Context) (program string, err error) {
	w.logf("compiling multiarch")
	program = w.path("bin", "multiarch")
	_, err = w.output(
		ctx,
		command{args: []string{"go", "build", "-o", program, "github.com/multiarch-build/multiarch/tools/multiarch"}},
	)
	return program, err
}

// ko compiles ko from the module proxy.
func (w *workDir) ko(ctx context.Context, version string) (program string, err error) {
	w.logf("compiling ko %s", version)
	proxies, err := w.output(ctx, command{args: []string{"go", "env", "GOPROXY"}})
	if err != nil {
		return "", err
	}
	proxies = strings.TrimRight(strings.ReplaceAll(strings.TrimSpace(proxies), "direct", "off"), ",|")
	_, err = w.output(ctx, command{
		args: []string{"go", "install", "github.com/google/ko@" + version},
		dir:  w.path("tmp"), // outside any module
		env:  []string{"GOBIN=" + w.path("bin"), "GOPROXY=" + proxies, "GOFLAGS=-buildvcs=false", "GOWORK=off"},
	})
	return w.path("bin", "ko"), err
}

// equal returns the common environment of all tools, with a Go build cache of their own, without personal settings, and
// without network except loopback.
func (w *workDir) equal(goCache string) []string {
	return []string{
		"GOCACHE=" + goCache, "GOENV=off", "GOFLAGS=-buildvcs=false", "GOPROXY=off", "GOTOOLCHAIN=local", "GOWORK=off",
		"CGO_ENABLED=0",
		"DOCKER_CONFIG=" + w.path("docker"),
	}
}

// warm compiles the services for all platforms into a Go build cache and returns its directory.
func (w *workDir) warm(ctx context.Context, t *tree) (string, error) {
	cache := w.path("gocache", "warm")
	for _, p := range t.platforms {
		w.logf("filling a Go build cache for %s", p.Name)
		c := bareBuild(t, p, w.path("tmp", "warm"))
		c.env = slices.Concat(w.equal(cache), c.env)
		if _, err := w.output(ctx, c); err != nil {
			return "", err
		}
	}
	return cache, os.RemoveAll(w.path("tmp", "warm"))
}
