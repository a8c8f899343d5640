package gobuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
)

// grace is the time between interrupting the go command and killing it.
const grace = 5 * time.Second

// toolchain is the go command with its settings.
type toolchain struct {
	path string
	env  map[string]string // output of `go env -json` in the tree
	// identity changes if the toolchain or its settings change.
	identity string
}

// MissingToolError is returned if a program that is needed for compiling is not installed.
type MissingToolError struct{ Tool, Advice string }

func (e *MissingToolError) Error() string { return e.Tool + " not found" }

// Class classifies the error for the exit code.
func (e *MissingToolError) Class() fault.Class { return fault.Compile }

// Hint returns how to install or select the program.
func (e *MissingToolError) Hint() string { return e.Advice }

// findToolchain finds the go command and its settings for the tree at dir. It runs `go env`, which takes into account
// GOENV files, go.work, toolchain lines and environment variables.
func findToolchain(ctx context.Context, dir string) (toolchain, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return toolchain{}, &MissingToolError{"go command", "install Go (https://go.dev/dl) and put it on PATH"}
	}
	cmd := exec.CommandContext(ctx, path, "env", "-json")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return toolchain{}, fmt.Errorf("running go env: %w\n%s", err, stderr.Bytes())
	}
	t := toolchain{path: path}
	if err := json.Unmarshal(out, &t.env); err != nil {
		return toolchain{}, fmt.Errorf("decoding the output of go env: %w", err)
	}
	// These settings name temporary directories or change between calls, and do not affect programs.
	for _, volatile := range []string{"GOGCCFLAGS", "GOTMPDIR", "GOTELEMETRY", "GOTELEMETRYDIR", "GOCACHE"} {
		delete(t.env, volatile)
	}
	var programs []string
	for _, p := range []string{
		path,
		filepath.Join(t.env["GOTOOLDIR"], "compile"),
		filepath.Join(t.env["GOTOOLDIR"], "link"),
		filepath.Join(t.env["GOROOT"], "VERSION"),
	} {
		info, err := os.Stat(p)
		if err != nil {
			continue // the go command builds some tools on demand
		}
		programs = append(programs, fmt.Sprint(p, info.Size(), info.ModTime().UnixNano()))
	}
	t.identity = digest(t.env, programs)
	return t, nil
}

// inputsKnown reports whether all inputs of a request can be known. It returns false for flags that name additional
// files.
func (t toolchain) inputsKnown(r Request) bool {
	flags := t.env["GOFLAGS"] + " " + strings.Join(r.Env, " ")
	return !slices.ContainsFunc([]string{"-overlay", "-modfile", "-toolexec", "-pgo", "-C"}, func(flag string) bool {
		return strings.Contains(flags, flag)
	})
}

// command prepares a go command for a request.
func (t toolchain) command(ctx context.Context, dir string, r Request, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, t.path, args...)
	cmd.Dir = dir
	killWithParent(cmd)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = grace
	cmd.Env = append(os.Environ(), r.Row.Go.Environ()...)
	cmd.Env = append(cmd.Env, r.Env...)
	if !r.Cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
		return cmd, nil
	}
	compilers, _, err := crossCompilers(r, t.env)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	cmd.Env = append(cmd.Env, compilers...)
	return cmd, nil
}

// output runs a program other than the go command and returns its output, or "" if it fails.
func (b *Builder) output(ctx context.Context, dir string, env, command []string) string {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, env
	killWithParent(cmd)
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// run runs a go command. watch, if not nil, also receives stderr.
func run(cmd *exec.Cmd, watch *compileWatch) (stdout []byte, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if watch != nil {
		cmd.Stderr = io.MultiWriter(&errs, watch)
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		err = fmt.Errorf("running the go command: %w", err)
	}
	return out.Bytes(), errs.String(), err
}
