package main

import (
	"errors"
	"fmt"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// The exit codes, documented in the README.
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

// usageError is about what was typed.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Hint says what could be typed instead.
func (e *usageError) Hint() string { return e.hint }

func usagef(hint, format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), hint}
}

var errInterrupted = errors.New("interrupted")

// interrupted is what a command that was asked to end says. What it was doing when it ended is of no interest, unless
// that leaves something behind in a registry.
func interrupted(err error) error {
	var partly *pushError
	if errors.As(err, &partly) {
		return fmt.Errorf("%w: %w", errInterrupted, err)
	}
	return errInterrupted
}

// errDiffers ends a command whose answer is "no" and has been printed.
var errDiffers = errors.New("")

// exitCode finds the class of an error.
func exitCode(err error) int {
	var (
		usage     *usageError
		image     *plan.UnknownImageError
		platform  *plan.MissingPlatformError
		wrong     config.Errors
		oneWrong  *config.Error
		compiling *build.CompileError
		tool      *gobuild.MissingToolError
		base      *pull.UnavailableError
		archive   *debian.UnavailableError
		signature *debian.SignatureError
		packages  *debian.ResolveError
		suite     *debian.UnknownError
		another   *debian.WrongSuiteError
		checksum  *debian.ChecksumError
		expired   *debian.ExpiredError
		companion *debian.CompanionError
		content   *debian.OtherContentError
		pushing   *pushError
		program   *programExit
		existing  *sourceError
		absent    *join.MissingError
		spec      *join.SpecError
		locked    *lock.InvalidError
	)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, errDiffers):
		return exitDiffers
	case errors.As(err, &usage), errors.As(err, &image), errors.As(err, &platform):
		return exitUsage
	case errors.As(err, &pushing):
		return exitPush // whatever it was: some of it is in registries
	case errors.As(err, &wrong), errors.As(err, &oneWrong), errors.As(err, &spec), errors.As(err, &locked):
		return exitConfig
	case errors.As(err, &compiling), errors.As(err, &tool):
		return exitCompile
	case errors.As(err, &base), errors.As(err, &archive), errors.As(err, &signature), errors.As(err, &packages), errors.As(err, &suite),
		errors.As(err, &another), errors.As(err, &checksum), errors.As(err, &expired), errors.As(err, &companion), errors.As(err, &content),
		errors.As(err, &existing), errors.As(err, &absent):
		return exitBase
	case errors.As(err, &program):
		return program.code
	}
	return exitFailed
}

// pushError marks what went wrong while pushing.
type pushError struct{ error }

func (e *pushError) Unwrap() error { return e.error }
