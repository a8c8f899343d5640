package run

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/multiarch-build/multiarch/tools/arch"
)

var (
	// errDenied is what this machine's kernel says to a kind of isolation it does not allow; the next one is tried.
	errDenied = errors.New("not allowed on this machine")
	// errNotNative is what the kernel says to a program that its processor cannot run after all.
	errNotNative = errors.New("the processor does not run it")
)

// PlatformError is returned where the platform's programs cannot be run on this operating system at all.
type PlatformError struct{ Platform arch.Platform }

func (e *PlatformError) Error() string {
	return fmt.Sprintf("%s does not run on a %s machine", e.Platform, runtime.GOOS)
}

// Hint says where it would run.
func (e *PlatformError) Hint() string {
	if e.Platform.OS == "windows" {
		return "windows images are run by a container engine on a Windows machine; linux ones can be run here under qemu-user on Linux"
	}
	return "running images needs Linux: namespaces and qemu-user; elsewhere load the image into docker or podman"
}

// EmulatorError is returned where the processor cannot run the platform's programs and no emulator for them is found.
type EmulatorError struct{ Row arch.Row }

func (e *EmulatorError) Error() string {
	if e.Row.QEMU.Name == "" {
		return fmt.Sprintf("this machine's processor does not run %s, and neither does qemu-user", e.Row)
	}
	return fmt.Sprintf("no emulator for %s: neither qemu-%[2]s-static nor qemu-%[2]s is in PATH", e.Row, e.Row.QEMU.Name)
}

// Hint names the packages that have it.
func (e *EmulatorError) Hint() string {
	if e.Row.QEMU.Name == "" {
		return "run a lower level of the architecture, or use a machine that has this one"
	}
	return "install the Debian or Ubuntu package qemu-user-static (qemu-user from Debian 13 on), elsewhere the static build of qemu-user"
}

// PrivateRootError is returned where the machine allows none of the ways to give a program its own root, and there is
// no emulator that could do without.
type PrivateRootError struct{ Err error }

func (e *PrivateRootError) Error() string {
	return fmt.Sprintf("giving the image a root of its own: %s", e.Err)
}

func (e *PrivateRootError) Unwrap() error { return e.Err }

// Hint says what would allow it.
func (e *PrivateRootError) Hint() string {
	return "run as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, " +
		"kernel.apparmor_restrict_unprivileged_userns; in a container, its security options); " +
		"or install qemu-user, which can do without a root of its own"
}

// ProgramError is returned where the image has nothing that could be run.
type ProgramError struct {
	Reason string
	hint   string
}

func (e *ProgramError) Error() string { return e.Reason }

// Hint says what to change, "" where the reason says it all.
func (e *ProgramError) Hint() string { return e.hint }
