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

// grace is how long the go command may take to end after an interrupt, before it is killed.
const grace = 5 * time.Second

// toolchain is the go command and what it is set to.
type toolchain struct {
	path string
	env  map[string]string // `go env -json` in the tree
	// identity changes whenever the toolchain or its settings do.
	identity string
}

// MissingToolError is returned where a program that compiles is not on the machine.
type MissingToolError struct{ Tool, Advice string }

func (e *MissingToolError) Error() string { return e.Tool + " was not found" }

// Class classifies the error for the exit code.
func (e *MissingToolError) Class() fault.Class { return fault.Compile }

// Hint says how to get it.
func (e *MissingToolError) Hint() string { return e.Advice }

// findToolchain asks the go command about itself. That takes some milliseconds, and answers at once what GOENV files,
// go.work, toolchain lines and environment variables would each have to be read for.
func findToolchain(ctx context.Context, dir string) (toolchain, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return toolchain{}, &MissingToolError{"the go command", "install Go (https://go.dev/dl) and put it on PATH"}
	}
	cmd := exec.CommandContext(ctx, path, "env", "-json")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return toolchain{}, fmt.Errorf("asking the go command about itself: %w\n%s", err, stderr.Bytes())
	}
	t := toolchain{path: path}
	if err := json.Unmarshal(out, &t.env); err != nil {
		return toolchain{}, fmt.Errorf("asking the go command about itself: %w", err)
	}
	// These name temporary folders or change from call to call, and do not reach the output.
	for _, volatile := range []string{"GOGCCFLAGS", "GOTMPDIR", "GOTELEMETRY", "GOTELEMETRYDIR", "GOCACHE"} {
		delete(t.env, volatile)
	}
	var programs []string
	for _, p := range []string{path, filepath.Join(t.env["GOTOOLDIR"], "compile"), filepath.Join(t.env["GOTOOLDIR"], "link"), filepath.Join(t.env["GOROOT"], "VERSION")} {
		info, err := os.Stat(p)
		if err != nil {
			continue // go builds some of its tools only when they are needed
		}
		programs = append(programs, fmt.Sprint(p, info.Size(), info.ModTime().UnixNano()))
	}
	t.identity = digest(t.env, programs)
	return t, nil
}

// tracked tells whether all inputs of a build can be known. These flags bring in files from anywhere.
func (t toolchain) tracked(r Request) bool {
	flags := t.env["GOFLAGS"] + " " + strings.Join(r.Env, " ")
	return !slices.ContainsFunc([]string{"-overlay", "-modfile", "-toolexec", "-pgo", "-C"}, func(flag string) bool {
		return strings.Contains(flags, flag)
	})
}

// command prepares a go command for a request.
func (t toolchain) command(ctx context.Context, dir string, r Request, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, t.path, args...)
	cmd.Dir = dir
	bind(cmd)
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

// output runs another program and returns what it prints, or "" if it fails.
func (b *Builder) output(ctx context.Context, dir string, env, command []string) string {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, env
	bind(cmd)
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// run runs a go command. watch, if it is not nil, reads stderr as well.
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
