// Package run starts the program of a built image on this machine, for trials and for smoke tests of a release. It runs
// the program natively if the processor can, else under qemu-user, in Linux namespaces with a root file system of their
// own. It needs neither a daemon nor root. The program shares the network of the host unless ports are published.
//
// The image's files stay separate from the machine's, and nothing is left behind when the program ends. Run is not a
// sandbox for untrusted code: it sets no seccomp filter and no resource limits.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// Options select the program and its input and output.
type Options struct {
	// Image is the image of one platform, not an index.
	Image v1.Image
	// Platform is the platform of Image. The image's config is not consulted.
	Platform arch.Platform
	// Env overrides the image's environment, in the form of os.Environ.
	Env []string
	// Args, if not nil, replaces the image's cmd.
	Args []string
	// Entrypoint, if not nil, replaces the image's entrypoint and drops its cmd.
	Entrypoint []string
	// Stdin, Stdout and Stderr are the program's; nil means /dev/null. The program inherits files directly. A goroutine
	// reads any other Stdin and ends when its Read returns.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Volumes are files and directories of this machine that appear in the image's root.
	Volumes []Volume
	// Publish, if not empty, gives the program its own network with only a loopback interface, reachable from this
	// machine on the published ports.
	Publish []Port
	// Grace is how long the program may take to stop before it is killed; 0 means ten seconds.
	Grace time.Duration
}

// Volume is a file or directory of this machine in an image's root.
type Volume struct {
	// Source is the path on this machine, Target the path in the image. Both are absolute.
	Source, Target string
	ReadOnly       bool
}

// Port forwards connections to the program.
type Port struct {
	// Address is the address to listen on, such as 127.0.0.1:8080.
	Address string
	// Container is the TCP port on which the program listens.
	Container int
}

// Mode is how the CPU runs the program.
type Mode string

// The modes.
const (
	Native   Mode = "native"
	Emulated Mode = "emulated"
)

// Info describes how a program was started.
type Info struct {
	Mode Mode
	// Emulator is the path of the qemu-user program, or "" for native programs.
	Emulator string
	// Private is whether the program has its own root. Otherwise qemu's -L starts it: it finds files of the image first
	// and those of the machine second, and the image's user is ignored.
	Private bool
	// Notes describe, for the user, what differs from a container runtime.
	Notes []string
}

// Process is a program that was started.
type Process struct {
	// Info describes how it was started.
	Info   Info
	wait   func() (int, error)
	remove func() error
}

// Run starts the program, waits for it and returns its exit code, or 128 plus the number of the signal that ended it.
// When ctx ends, Run sends the image's stop signal (default: SIGTERM) to the program and, after the grace period,
// SIGKILL to it and everything it started. It returns the exit code then too. An error means that the program was not
// started or could not be watched.
func Run(ctx context.Context, o Options) (exitCode int, err error) {
	p, err := Start(ctx, o)
	if err != nil {
		return 0, err
	}
	return p.Wait()
}

// Start unpacks the image into a new temporary directory and starts its program there. The caller must call Wait,
// which removes the directory. The end of ctx stops the program as in Run. If this process dies, the program and
// everything it started die with it, and the next Start removes the directory.
//
// The program's main must call Init before anything else: this package starts its own executable a second time.
//
// Errors with a hint are *PlatformError, *EmulatorError and *PrivateRootError if this machine cannot run the program,
// and *ProgramError if no machine can.
func Start(ctx context.Context, o Options) (p *Process, err error) {
	row, ok := arch.Find(o.Platform)
	if !ok || row.OS != "linux" || len(isolations(false)) == 0 {
		return nil, &PlatformError{o.Platform}
	}
	ways := waysToRun(row, thisHost())
	if len(ways) == 0 {
		return nil, &EmulatorError{row}
	}
	removeLeftovers()
	dir, release, err := lockedDirectory()
	if err != nil {
		return nil, fmt.Errorf("creating the image's root: %w", err)
	}
	remove := func() error {
		defer release()
		return removeAll(dir)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()

	t, err := newTree(filepath.Join(dir, "root"))
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if err := t.unpack(ctx, o.Image); err != nil {
		return nil, err
	}
	prog, err := newProgram(t, row, o)
	if err != nil {
		return nil, err
	}
	if err := t.furnish(prog); err != nil {
		return nil, err
	}
	if err := t.mountPoints(o.Volumes); err != nil {
		return nil, err
	}
	return start(ctx, t, prog, row, ways, o, remove)
}

// start tries the ways of running in their order, each in the best isolation that the machine allows.
func start(ctx context.Context, t *tree, prog *program, row arch.Row, ways []way, o Options,
	remove func() error) (*Process, error) {
	var denials []error
	for _, w := range ways {
		for _, i := range isolations(prog.privileged && len(o.Publish) == 0) {
			if !w.fits(i) || i == shared && len(o.Volumes)+len(o.Publish) > 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("starting %s: %w", prog.path, err)
			}
			s, err := newSpec(t, prog, row, w, i, o)
			if err != nil {
				return nil, err
			}
			wait, err := launch(ctx, s, prog.stopSignal, o)
			if err == nil {
				return &Process{Info: w.info(i, prog, o), wait: wait, remove: remove}, nil
			}
			if errors.Is(err, errNotNative) && w.emulator == "" {
				break // no isolation changes that, an emulator does
			}
			if !errors.Is(err, errDenied) {
				return nil, err
			}
			denials = append(denials, err)
		}
	}
	if len(denials) > 0 {
		return nil, &PrivateRootError{errors.Join(denials...)}
	}
	return nil, &EmulatorError{row}
}

// removeAll is os.RemoveAll, but also removes directories that their owner cannot write to.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(name, 0o700) // before it is read; what cannot be changed shows below
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// Wait waits for the program to end, removes its root and returns its exit code as Run does. It is called once.
func (p *Process) Wait() (exitCode int, err error) {
	exitCode, err = p.wait()
	if rm := p.remove(); rm != nil {
		err = errors.Join(err, fmt.Errorf("removing the image's root: %w", rm))
	}
	return exitCode, err
}
