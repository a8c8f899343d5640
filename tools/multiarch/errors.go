package main

import (
	"errors"
	"fmt"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
)

// The exit codes, documented in tools/publish/README.md.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitDiffers     = 4
	exitBase        = 5
	exitCompile     = 6
	exitPush        = 7
	exitInterrupted = 130
)

// exitCode returns the exit code of an error. It depends on the class of the error, unless a program that multiarch
// started has ended with a code of its own.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	switch fault.ClassOf(err) {
	case fault.Interrupted:
		return exitInterrupted
	case fault.Differs:
		return exitDiffers
	case fault.Usage:
		return exitUsage
	case fault.Push:
		return exitPush
	case fault.Config:
		return exitConfig
	case fault.Compile:
		return exitCompile
	case fault.Base:
		return exitBase
	}
	var program *programExit
	if errors.As(err, &program) {
		return program.code
	}
	return exitFailed
}

// usagef returns an error about the command line or an environment variable.
func usagef(hint, format string, args ...any) error { return fault.Usagef(hint, format, args...) }

// classError is an error without any detail but its class.
type classError struct {
	text  string
	class fault.Class
}

func (e *classError) Error() string { return e.text }

// Class classifies the error for the exit code.
func (e *classError) Class() fault.Class { return e.class }

var (
	errInterrupted = &classError{"interrupted", fault.Interrupted}
	// errDiffers ends a command whose answer is "no" and has been printed.
	errDiffers = &classError{"", fault.Differs}
)

// interrupted is the error of a command that was stopped by a signal. What it was doing does not matter, unless that
// leaves something behind in a registry.
func interrupted(err error) error {
	if fault.ClassOf(err) == fault.Push {
		return fmt.Errorf("%w: %w", errInterrupted, err)
	}
	return errInterrupted
}

// pushError marks an error as one of pushing.
type pushError struct{ error }

func (e *pushError) Unwrap() error { return e.error }

// Class classifies the error for the exit code.
func (e *pushError) Class() fault.Class { return fault.Push }
