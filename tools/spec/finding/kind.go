// Package finding names the kinds of problems that multiarch finds in an image, so that multiarch.yaml, the Bazel rules
// and the checks agree on what an image may be allowed to have.
package finding

import (
	"fmt"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Kind is a group of problems that an image can be allowed to have. Problems without a kind are damage, such as a digest
// that does not match its bytes, and cannot be allowed.
type Kind string

// The kinds of problems.
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

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{
		MissingEntrypoint, InvalidEntrypoint, WrongPlatform, IncompleteProgram, MissingInterpreter, MissingLibrary,
		UnknownUser, MissingWorkdir, NotExamined,
	}
}

// UnmarshalText refuses unknown kinds.
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

// UnknownKindError is returned for a word that names no kind of problem.
type UnknownKindError struct{ word, hint string }

func (e *UnknownKindError) Error() string { return fmt.Sprintf("unknown kind of problem %q", e.word) }

// Hint names the nearest kind, and all others.
func (e *UnknownKindError) Hint() string { return e.hint }
