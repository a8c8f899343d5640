package run

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/multiarch-build/multiarch/tools/arch"
)

var (
	// errDenied is returned if the kernel does not allow a kind of isolation. The next one is tried.
	errDenied = errors.New("not allowed on this machine")
	// errNotNative is returned if the CPU turns out not to run a program.
	errNotNative = errors.New("the processor does not run it")
)

// PlatformError is returned if this operating system cannot run the platform's programs.
type PlatformError struct{ Platform arch.Platform }

func (e *PlatformError) Error() string {
	return fmt.Sprintf("%s images cannot run on %s", e.Platform, runtime.GOOS)
}

// Hint names a machine that can run them.
func (e *PlatformError) Hint() string {
	if e.Platform.OS == "windows" {
		return "run it with a container engine on Windows"
	}
	return "run it on Linux, or load it into docker or podman"
}

// EmulatorError is returned if the CPU cannot run the platform's programs and there is no emulator for them.
type EmulatorError struct{ Row arch.Row }

func (e *EmulatorError) Error() string {
	if e.Row.QEMU.Name == "" {
		return fmt.Sprintf("neither this CPU nor qemu-user can run %s", e.Row)
	}
	return fmt.Sprintf("no emulator for %s: neither qemu-%[2]s-static nor qemu-%[2]s is in PATH", e.Row, e.Row.QEMU.Name)
}

// Hint names the packages that provide one.
func (e *EmulatorError) Hint() string {
	if e.Row.QEMU.Name == "" {
		return "choose a lower variant of the architecture, or use a machine that supports this one"
	}
	return "install a static qemu-user (Debian and Ubuntu: qemu-user-static; from Debian 13: qemu-user)"
}

// PrivateRootError is returned if the machine allows no kind of isolation, and there is no emulator that works without.
type PrivateRootError struct{ Err error }

func (e *PrivateRootError) Error() string {
	return fmt.Sprintf("isolating the image: %s", e.Err)
}

func (e *PrivateRootError) Unwrap() error { return e.Err }

// Hint lists the settings that allow it.
func (e *PrivateRootError) Hint() string {
	return "run as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, " +
		"kernel.apparmor_restrict_unprivileged_userns; in a container, its security options); " +
		"or install qemu-user, which needs neither"
}

// ProgramError is returned if the image has no program that can be started.
type ProgramError struct {
	Reason string
	hint   string
}

func (e *ProgramError) Error() string { return e.Reason }

// Hint returns what to change, or "" if unknown.
func (e *ProgramError) Hint() string { return e.hint }
