package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// initName is the name that this executable is called by when it is started to be Init.
const initName = "multiarch-run-init"

// report is a message of Init to the process that started it, encoded as JSON.
type report struct {
	Started bool          `json:",omitempty"`
	Exit    *int          `json:",omitempty"` // the program's exit code
	Error   string        `json:",omitempty"`
	Errno   syscall.Errno `json:",omitempty"`
	// Isolating is whether the error occurred before the program was tried.
	Isolating bool `json:",omitempty"`
}

// isolations lists the kinds of isolation that are worth trying, best first. In a user namespace, programs
// cannot open privileged ports of the machine's network.
func isolations(privilegedPorts bool) []isolation {
	if mapsAllIDs() {
		if privilegedPorts {
			return []isolation{private, privateUsers, shared}
		}
		return []isolation{privateUsers, private, shared}
	}
	return []isolation{privateUsers, shared}
}

// mapsAllIDs reports whether this process may give files and processes to any user: whether it is root, and not root of
// a user namespace with a few IDs.
func mapsAllIDs() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return os.Geteuid() == 0 && err == nil && slices.Equal(strings.Fields(string(text)), []string{"0", "0", "4294967295"})
}

// denials are the kernel's errors if namespaces are disabled, exhausted, or forbidden for this user.
var denials = []error{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS}

func denied(err error) bool {
	return slices.ContainsFunc(denials, func(d error) bool { return errors.Is(err, d) })
}

// launch starts Init with s and returns when the program runs. wait returns the program's exit code when everything
// has ended. The error is errDenied or errNotNative if another way may work.
func launch(ctx context.Context, s spec, stopSignal string, o Options) (wait func() (int, error), err error) {
	stop, err := signalNumber(stopSignal)
	if err != nil {
		return nil, err
	}
	// Init reads its orders from one pipe and answers on another. The first one is closed when this process dies.
	orders, control, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Path, err)
	}
	defer orders.Close()
	reports, status, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", s.Path, err), control.Close())
	}
	defer status.Close()

	ports, err := listen(o.Publish)
	if err != nil {
		return nil, errors.Join(err, control.Close(), reports.Close())
	}
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{initName},
		Env:         []string{}, // the program must not inherit our environment
		Stdout:      o.Stdout,
		Stderr:      o.Stderr,
		ExtraFiles:  append([]*os.File{orders, status}, ports.inner()...),
		SysProcAttr: attributes(s),
		WaitDelay:   time.Second, // for output held open by what escaped from a shared isolation
	}
	giveBack, err := connectStdin(cmd, o.Stdin)
	if err != nil {
		ports.close()
		return nil, errors.Join(err, control.Close(), reports.Close())
	}
	end := func() { // after this, nothing is left of the attempt
		ports.close()
		_ = control.Close()
		_ = cmd.Wait()
		_ = reports.Close()
		giveBack()
	}
	if err := cmd.Start(); err != nil {
		end()
		if denied(err) {
			return nil, fmt.Errorf("%w: making namespaces: %w", errDenied, err)
		}
		return nil, fmt.Errorf("starting %s: %w", s.Path, err)
	}
	in, out := json.NewDecoder(reports), json.NewEncoder(control)
	// A failure to write shows in the answer.
	_ = out.Encode(s)
	var first report
	if err := in.Decode(&first); err != nil || !first.Started {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		end()
		return nil, startError(s, first, err)
	}

	ports.forward()
	ended := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		_ = out.Encode(stop)
		select {
		case <-ended:
		case <-time.After(grace(o)):
			// Init leads the group and, unless shared, the process namespace: nothing survives it.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return func() (int, error) {
		var last report
		err := in.Decode(&last) // until the program, or Init itself, has ended
		close(ended)
		unwatch()
		end()
		if err == nil && last.Exit != nil {
			return *last.Exit, nil
		}
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return 0, fmt.Errorf("watching %s: its parent process exited: %s", s.Path, cmd.ProcessState)
	}, nil
}

func startError(s spec, r report, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("starting %s: main does not call run.Init, or the process was stopped: %w", s.Path, err)
	case r.Isolating && denied(r.Errno):
		return fmt.Errorf("%w: %s", errDenied, r.Error)
	case r.Errno == syscall.ENOEXEC:
		return fmt.Errorf("starting %s: %w", s.Path, errNotNative)
	}
	return fmt.Errorf("starting %s: %s", s.Path, r.Error)
}

// attributes makes Init the leader of a process group, and of the namespaces.
func attributes(s spec) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if s.Isolation == shared {
		return a
	}
	a.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	if s.OwnNetwork {
		a.Cloneflags |= syscall.CLONE_NEWNET
	}
	if s.Isolation != privateUsers {
		return a
	}
	a.Cloneflags |= syscall.CLONE_NEWUSER
	if !s.KeepUser {
		a.UidMappings = []syscall.SysProcIDMap{{Size: math.MaxInt32}}
		a.GidMappings = a.UidMappings
		a.GidMappingsEnableSetgroups = true
		return a
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: s.UID, HostID: os.Geteuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: s.GID, HostID: os.Getegid(), Size: 1}}
	if s.UID != 0 {
		// Only root keeps its capabilities when it executes a file. Init drops these before the program starts.
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_SETPCAP, unix.CAP_NET_ADMIN}
	}
	return a
}

// connectStdin gives the command its input. A program that is given our terminal also gets to be the terminal's
// foreground, or it could not read from it; giveBack ends that. Ctrl-C then goes to the program alone, as it would
// without us.
func connectStdin(cmd *exec.Cmd, stdin io.Reader) (giveBack func(), err error) {
	giveBack = func() {}
	if stdin == nil {
		return giveBack, nil
	}
	f, ok := stdin.(*os.File)
	if !ok {
		w, err := cmd.StdinPipe() // exec.Cmd.Stdin would make Wait wait for a reader that never ends
		if err != nil {
			return nil, err
		}
		go func() {
			_, _ = io.Copy(w, stdin)
			_ = w.Close()
		}()
		return giveBack, nil
	}
	cmd.Stdin = f
	fd := int(f.Fd())
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return giveBack, nil // no terminal, or we are in its background ourselves
	}
	cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, fd
	return func() {
		// Taking the terminal back from the background raises SIGTTOU, whose default is to stop.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var old, block unix.Sigset_t
		block.Val[0] = 1 << (unix.SIGTTOU - 1)
		if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) == nil {
			_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, unix.Getpgrp())
			_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
		}
	}, nil
}

func grace(o Options) time.Duration {
	if o.Grace > 0 {
		return o.Grace
	}
	return 10 * time.Second
}

// signalNumber reads an image config's StopSignal: a name, with or without SIG, or a number.
func signalNumber(name string) (syscall.Signal, error) {
	if name == "" {
		return syscall.SIGTERM, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n), nil
	}
	if s := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")); s != 0 {
		return s, nil
	}
	return 0, &ProgramError{fmt.Sprintf("invalid stop signal %q in the image", name), ""}
}
