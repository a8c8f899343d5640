// Package finding defines the kinds of problems that checks find in an image. multiarch.yaml, the
// Bazel rules and the checks share them, so that an image can be allowed to have a certain kind of
// problem.
package finding

import (
	"fmt"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Kind is a group of problems that an image can be allowed to have. Problems without a kind are
// damage, such as a digest that does not match its bytes, and cannot be allowed.
type Kind string

// Kinds of problems.
const (
	MissingEntrypoint  Kind = "missing-entrypoint"
	InvalidEntrypoint  Kind = "invalid-entrypoint"
	WrongPlatform      Kind = "wrong-platform"
	IncompleteProgram  Kind = "incomplete-program"
	MissingInterpreter Kind = "missing-interpreter"
	MissingLibrary     Kind = "missing-library"
	UnknownUser        Kind = "unknown-user"
	MissingWorkdir     Kind = "missing-workdir"
	NotExamined        Kind = "not-examined"
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{
		MissingEntrypoint, InvalidEntrypoint, WrongPlatform, IncompleteProgram, MissingInterpreter, MissingLibrary,
		UnknownUser, MissingWorkdir, NotExamined,
	}
}

// UnmarshalText rejects unknown kinds.
func (k *Kind) UnmarshalText(text []byte) error {
	var names []string
	for _, known := range Kinds() {
		if string(known) == string(text) {
			*k = known
			return nil
		}
		names = append(names, string(known))
	}
	return &UnknownKindError{string(text), suggest.Hint(string(text), names)}
}

// UnknownKindError is returned for an unknown kind of problem.
type UnknownKindError struct{ word, hint string }

func (e *UnknownKindError) Error() string { return fmt.Sprintf("unknown kind of problem %q", e.word) }

// Hint returns the closest match and all kinds.
func (e *UnknownKindError) Hint() string { return e.hint }
