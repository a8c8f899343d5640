// Package fault defines two interfaces of errors: Classified errors have a class, which determines the exit code, and
// Hinter errors have a hint. Error types implement them in the packages that return them, so that the command line
// needs no list of error types.
package fault

import (
	"errors"
	"fmt"
)

// Class is a class of errors with the same exit code.
type Class int

// Classes in order of precedence: an error that wraps errors of several classes belongs to the first.
const (
	// Unclassified is the class of other errors.
	Unclassified Class = iota
	// Interrupted is for commands that a signal stopped.
	Interrupted
	// Differs is for comparisons that found a difference.
	Differs
	// Usage is for an invalid command line or environment.
	Usage
	// Push is for failed uploads, which may be partly in registries. It precedes the class of the cause.
	Push
	// Config is for an invalid configuration, lock file or spec file.
	Config
	// Compile is for programs that do not compile, and missing compilers.
	Compile
	// Base is for base images, and other existing images, that cannot be fetched.
	Base
)

// Classified is implemented by errors that have a class.
type Classified interface {
	error
	Class() Class
}

// ClassOf returns the class of an error. If it wraps errors of several classes, it returns the first in order of
// precedence.
func ClassOf(err error) Class {
	class := Unclassified
	walk(err, func(e error) {
		if c, ok := e.(Classified); ok && (class == Unclassified || c.Class() != Unclassified && c.Class() < class) {
			class = c.Class()
		}
	})
	return class
}

// walk visits an error and all errors that it wraps.
func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			walk(one, visit)
		}
	}
}

// Hinter is implemented by errors that have a hint for the user. The hint is in the imperative and may be empty.
type Hinter interface {
	error
	Hint() string
}

// HintOf returns the hint of the outermost error that implements Hinter, or "" if there is none.
func HintOf(err error) string {
	var h Hinter
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// Error is an error with a class and a hint.
type Error struct {
	err   error
	class Class
	hint  string
}

func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the error without class and hint.
func (e *Error) Unwrap() error { return e.err }

// Class returns the class.
func (e *Error) Class() Class { return e.class }

// Hint returns the hint, or "".
func (e *Error) Hint() string { return e.hint }

// Usagef returns an error about the command line or the environment.
func Usagef(hint, format string, args ...any) error {
	return &Error{fmt.Errorf(format, args...), Usage, hint}
}
