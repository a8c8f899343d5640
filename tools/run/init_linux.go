package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Init must be called first in the main function of every program that uses this package, and in the TestMain of its
// tests:
//
//	if code, ok := run.Init(); ok {
//		os.Exit(code)
//	}
//
// If Start has started this executable as the first process in an image's namespaces, Init mounts the root, starts the
// image's program, supervises it until it ends, and returns true with the exit code to use. Otherwise it does nothing
// and returns false.
func Init() (exitCode int, ok bool) {
	if len(os.Args) == 0 || os.Args[0] != initName {
		return 0, false
	}
	// Capabilities and the death signal belong to a thread.
	runtime.LockOSThread()
	orders, reports := os.NewFile(3, "orders"), os.NewFile(4, "reports")
	for _, f := range []int{3, 4, portsFile} {
		syscall.CloseOnExec(f)
	}
	in, out := json.NewDecoder(orders), json.NewEncoder(reports)

	code, err := supervise(in, out)
	if err != nil {
		var r report
		r.Error = err.Error()
		_ = errors.As(err, &r.Errno)
		_, r.Isolating = errors.AsType[*isolationError](err)
		_ = out.Encode(r)
		return 125, true // the exit code of container engines for their own failures
	}
	return code, true
}

// isolationError is an error that occurred before the program was tried.
type isolationError struct{ error }

func (e *isolationError) Unwrap() error { return e.error }

// supervise carries out the orders and returns the program's exit code, which it has reported then.
func supervise(in *json.Decoder, out *json.Encoder) (int, error) {
	var s spec
	if err := in.Decode(&s); err != nil {
		return 0, fmt.Errorf("reading the program to start: %w", err)
	}
	if s.Isolation != shared {
		if err := enter(s); err != nil {
			return 0, &isolationError{err}
		}
	}
	if err := dropRights(s); err != nil {
		return 0, &isolationError{err}
	}
	// Signals that a terminal sends to the group are for the program. SIGTSTP is ignored, also by the program: our parent
	// would not notice a stopped program, and would wait for it on a dead terminal.
	terminal := make(chan os.Signal, 1)
	signal.Notify(terminal, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM)
	signal.Ignore(syscall.SIGTSTP)

	attr := &os.ProcAttr{
		Dir:   s.Dir,
		Env:   s.Env,
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	if !s.KeepUser {
		attr.Sys.Credential = credential(s)
	}
	if s.Isolation == private {
		attr.Sys.AmbientCaps = []uintptr{unix.CAP_NET_BIND_SERVICE}
	}
	if s.OwnNetwork {
		go receiveConnections()
	}
	p, err := os.StartProcess(s.Path, s.Args, attr)
	if err != nil {
		return 0, err
	}
	pid := p.Pid
	_ = p.Release() // reap waits for it
	if err := out.Encode(report{Started: true}); err != nil {
		return 0, err
	}

	signals, exit := make(chan syscall.Signal), make(chan int)
	go receive(in, signals)
	go reap(pid, exit)
	for {
		select {
		case number, ok := <-signals:
			if !ok {
				end(s)
				return 128 + int(syscall.SIGKILL), nil
			}
			_ = syscall.Kill(pid, number)
		case code := <-exit:
			err := out.Encode(report{Exit: &code})
			end(s)
			return code, err
		}
	}
}

// receive passes on signals for the program. It closes the channel when the sender is gone.
func receive(in *json.Decoder, signals chan<- syscall.Signal) {
	defer close(signals)
	for {
		var number syscall.Signal
		if err := in.Decode(&number); err != nil {
			return
		}
		signals <- number
	}
}

// reap collects every child, which for the first process of a namespace are all orphans too, until it was the
// program's turn.
func reap(pid int, exit chan<- int) {
	for {
		var status syscall.WaitStatus
		switch got, err := syscall.Wait4(-1, &status, 0, nil); {
		case errors.Is(err, syscall.EINTR) || got != pid && err == nil:
		case err != nil:
			exit <- 125
			return
		case status.Signaled():
			exit <- 128 + int(status.Signal())
			return
		case status.Exited():
			exit <- status.ExitStatus()
			return
		}
	}
}

// end kills everything that the program has started. In a process namespace the kernel sees to that when this
// process ends.
func end(s spec) {
	if s.Isolation == shared && unix.Getpgrp() == os.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL) // and this process with them
	}
}

func credential(s spec) *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.GID)}
	for _, g := range s.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// rights are the capabilities that an image's root may use: fewer than container engines leave it, because the
// network here is the machine's and no device rules keep it from making device files.
func rights() map[uintptr]bool {
	return map[uintptr]bool{
		unix.CAP_CHOWN: true, unix.CAP_DAC_OVERRIDE: true, unix.CAP_FOWNER: true, unix.CAP_FSETID: true,
		unix.CAP_KILL: true, unix.CAP_SETGID: true, unix.CAP_SETUID: true, unix.CAP_SETPCAP: true,
		unix.CAP_NET_BIND_SERVICE: true, unix.CAP_SYS_CHROOT: true,
	}
}

// dropRights sees to it that the program, started from this thread, cannot gain rights that it does not need. In a
// shared isolation its rights stay what they are.
func dropRights(s spec) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	if s.Isolation == shared {
		return nil
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clearing ambient capabilities: %w", err)
	}
	keep := rights()
	for c := uintptr(0); ; c++ {
		if set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err != nil || set < 0 {
			return nil // the kernel knows no more
		}
		if keep[c] {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
}
