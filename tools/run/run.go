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

// Options says what to run and how it is connected.
type Options struct {
	// Image is the image of one platform, not an index.
	Image v1.Image
	// Platform is what Image is for. It is taken from here, not from the image's config.
	Platform arch.Platform
	// Env is added to the image's environment, in the form of os.Environ; it wins over it.
	Env []string
	// Args replaces the image's command where it is not nil.
	Args []string
	// Entrypoint replaces the image's entrypoint, and drops its command, where it is not nil.
	Entrypoint []string
	// Stdin, Stdout and Stderr are the program's; nil is /dev/null. Files are handed over as they are. A Stdin that
	// is no file is read by a goroutine, which ends when that Read returns.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Volumes are files and directories of this machine that appear in the image's root.
	Volumes []Volume
	// Publish, unless it is empty, gives the program a network of its own, with a loopback interface and nothing else. It
	// is reached from this machine on the published ports.
	Publish []Port
	// Grace is how long the program may take to stop once it was asked to, 0 for ten seconds.
	Grace time.Duration
}

// Volume is a file or directory of this machine in an image's root.
type Volume struct {
	// Source is its path here, Target its path there. Both are absolute.
	Source, Target string
	ReadOnly       bool
}

// Port leads connections to the program.
type Port struct {
	// Address is where this machine listens, such as 127.0.0.1:8080.
	Address string
	// Container is the TCP port on which the program listens.
	Container int
}

// Mode is how the machine's processor comes to run the program.
type Mode string

// The modes.
const (
	Native   Mode = "native"
	Emulated Mode = "emulated"
)

// Info says in which way a program was started.
type Info struct {
	Mode Mode
	// Emulator is the path of the qemu-user program, "" natively.
	Emulator string
	// Private says whether the program has a root of its own. Where it has not, it is started by qemu's -L: files of
	// the image are found first, those of the machine after them, and the image's user is not taken on.
	Private bool
	// Notes are sentences for the person who asked: what is not as it would be under a container runtime.
	Notes []string
}

// Process is a program that was started.
type Process struct {
	// Info says how.
	Info   Info
	wait   func() (int, error)
	remove func() error
}

// Run starts the program, waits for it and returns its exit code, 128 plus the number of the signal where one ended
// it. When ctx ends, the program is sent the image's stop signal (SIGTERM where it names none), and SIGKILL with
// everything it started once the grace period is over; the exit code is returned then too, without an error. An error
// means that the program was not started or could not be watched.
func Run(ctx context.Context, o Options) (exitCode int, err error) {
	p, err := Start(ctx, o)
	if err != nil {
		return 0, err
	}
	return p.Wait()
}

// Start unpacks the image into a new temporary directory and starts its program there. The caller must call Wait,
// which removes the directory; the end of ctx stops the program as Run says. If this process dies, the program and
// everything it started die with it, and the next Start removes the directory.
//
// The program's main must call Init before anything else: this package starts its own executable a second time.
//
// Errors with a hint: *PlatformError, *EmulatorError and *PrivateRootError where this machine cannot run it,
// *ProgramError where the image cannot be run by any machine.
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
		return nil, fmt.Errorf("making a root for the image: %w", err)
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
func start(ctx context.Context, t *tree, prog *program, row arch.Row, ways []way, o Options, remove func() error) (*Process, error) {
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

// removeAll is os.RemoveAll where programs may have left directories that even their owner may not write to.
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
