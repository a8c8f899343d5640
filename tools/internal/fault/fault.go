// Package fault holds the two small interfaces through which errors tell the command line more than their text: which
// class they belong to, from which the exit code follows, and what to do next. An error type implements them in the
// package that returns it, so that no list of error types is needed above.
package fault

import (
	"errors"
	"fmt"
)

// Class is what went wrong, as far as the exit code is concerned.
type Class int

// The classes. An error that wraps several takes the first one in this order.
const (
	// Unclassified errors belong to no class.
	Unclassified Class = iota
	// Interrupted is a command that was stopped by a signal.
	Interrupted
	// Differs is a comparison that found a difference.
	Differs
	// Usage is a wrong command line or environment.
	Usage
	// Push is an upload that failed; part of it may be in registries. It outranks whatever made it fail.
	Push
	// Config is an invalid configuration, lock file or spec file.
	Config
	// Compile is a program that does not compile, or a missing compiler.
	Compile
	// Base is a base image, or another existing image, that cannot be fetched.
	Base
)

// Classified is implemented by errors that know their class.
type Classified interface {
	error
	Class() Class
}

// ClassOf returns the class of an error. If it wraps errors of several classes, the first in the order above wins.
func ClassOf(err error) Class {
	class := Unclassified
	walk(err, func(e error) {
		if c, ok := e.(Classified); ok && (class == Unclassified || c.Class() != Unclassified && c.Class() < class) {
			class = c.Class()
		}
	})
	return class
}

// walk visits an error and all that it wraps.
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

// Hinter is implemented by errors that know what to do next. The hint is in the imperative and may be empty.
type Hinter interface {
	error
	Hint() string
}

// HintOf returns the hint of the outermost error that implements Hinter, "" if there is none.
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

// Hint returns the next step, or "".
func (e *Error) Hint() string { return e.hint }

// Usagef returns an error about the command line or the environment.
func Usagef(hint, format string, args ...any) error {
	return &Error{fmt.Errorf(format, args...), Usage, hint}
}
