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

// workshop is the temporary folder in which everything happens, and where progress is told.
type workshop struct {
	dir    string
	stderr io.Writer
}

func openWorkshop(stderr io.Writer) (*workshop, error) {
	dir, err := os.MkdirTemp("", "multiarch-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a folder to work in: %w", err)
	}
	w := &workshop{dir, stderr}
	// The programs' own temporary files go there too, so that one that is killed leaves nothing behind.
	for _, d := range []string{"bin", "tmp", "docker"} {
		if err := os.Mkdir(w.path(d), 0o755); err != nil {
			return nil, fmt.Errorf("making a folder to work in: %w", err)
		}
	}
	return w, nil
}

// close removes everything. The children of a killed program end a moment after it, and may still be writing.
func (w *workshop) close() (err error) {
	for range 20 {
		if err = os.RemoveAll(w.dir); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("cleaning up: %w", err)
}

func (w *workshop) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

func (w *workshop) say(format string, args ...any) { fmt.Fprintf(w.stderr, format+"\n", args...) }

// command is a program to run.
type command struct {
	args []string
	dir  string   // "" is where the bench was started
	env  []string // added to what is inherited
	// gentle is for programs that tell others to stop when they are interrupted, and cannot when they are killed.
	gentle bool
}

// prepare makes a command ready to start. When ctx ends, it is killed with all its children; one that is gentle is
// interrupted, and has some seconds.
func (w *workshop) prepare(ctx context.Context, c command) (*exec.Cmd, *bytes.Buffer) {
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

// inherited is the bench's own environment, without what steers the contestants. ko minds even an empty GOOS.
func inherited() []string {
	steering := []string{"GOOS=", "GOARCH=", "GOAMD64=", "GOARM=", "GOARM64=", "KO", "MULTIARCH_", "SOURCE_DATE_EPOCH="}
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(steering, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}

// explain makes an error of a failed command that says what it was and what it printed.
func (c command) explain(err error, stderr *bytes.Buffer) error {
	return fmt.Errorf("running %s: %w\n%s", strings.Join(c.args, " "), err, bytes.TrimSpace(stderr.Bytes()))
}

// output runs a command and returns its stdout.
func (w *workshop) output(ctx context.Context, c command) (string, error) {
	cmd, stderr := w.prepare(ctx, c)
	out, err := cmd.Output()
	if err != nil {
		return "", c.explain(err, stderr)
	}
	return string(out), nil
}

// multiarch compiles the tool of the checkout that the bench was started in.
func (w *workshop) multiarch(ctx context.Context) (program string, err error) {
	w.say("compiling multiarch")
	program = w.path("bin", "multiarch")
	_, err = w.output(ctx, command{args: []string{"go", "build", "-o", program, "github.com/multiarch-build/multiarch/tools/multiarch"}})
	return program, err
}

// ko compiles ko, whose sources come from the module proxy and from nowhere else.
func (w *workshop) ko(ctx context.Context, version string) (program string, err error) {
	w.say("compiling ko %s", version)
	proxies, err := w.output(ctx, command{args: []string{"go", "env", "GOPROXY"}})
	if err != nil {
		return "", err
	}
	proxies = strings.TrimRight(strings.ReplaceAll(strings.TrimSpace(proxies), "direct", "off"), ",|")
	_, err = w.output(ctx, command{
		args: []string{"go", "install", "github.com/google/ko@" + version},
		dir:  w.path("tmp"), // outside of any module
		env:  []string{"GOBIN=" + w.path("bin"), "GOPROXY=" + proxies, "GOFLAGS=-buildvcs=false", "GOWORK=off"},
	})
	return w.path("bin", "ko"), err
}

// equal is the environment that every contestant gets, apart from a Go build cache of its own: no personal settings,
// and no network but loopback.
func (w *workshop) equal(goCache string) []string {
	return []string{
		"GOCACHE=" + goCache, "GOENV=off", "GOFLAGS=-buildvcs=false", "GOPROXY=off", "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0",
		"DOCKER_CONFIG=" + w.path("docker"),
	}
}

// warm compiles the services for all platforms into a Go build cache, and returns its folder.
func (w *workshop) warm(ctx context.Context, t *tree) (string, error) {
	cache := w.path("gocache", "warm")
	for _, p := range t.platforms {
		w.say("filling a Go build cache for %s", p.Name)
		c := bareBuild(t, p, w.path("tmp", "warm"))
		c.env = slices.Concat(w.equal(cache), c.env)
		if _, err := w.output(ctx, c); err != nil {
			return "", err
		}
	}
	return cache, os.RemoveAll(w.path("tmp", "warm"))
}
