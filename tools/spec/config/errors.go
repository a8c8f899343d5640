package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Position is a location in a file. Line and Column start at 1; Column counts characters.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Error is one error in a configuration, with its position.
type Error struct {
	Position
	// Path is the path of the value, such as images.hello.platforms[1]. It is "" for YAML syntax
	// errors.
	Path string
	Err  error
	hint string
	key  bool // concerns the key; its value could be parsed
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Position.String() + ": " + e.Err.Error()
	}
	return e.Position.String() + ": " + e.Path + ": " + e.Err.Error()
}

// Class classifies the error for the exit code.
func (e *Error) Class() fault.Class { return fault.Config }

// Unwrap returns the error without its position.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns the allowed values or the next step, or "".
func (e *Error) Hint() string { return e.hint }

// hintOf returns the hint of err or of an error that it wraps.
func hintOf(err error) string {
	var hinting fault.Hinter
	if errors.As(err, &hinting) {
		return hinting.Hint()
	}
	if unknown := new(arch.UnknownError); errors.As(err, &unknown) {
		return suggest.Platform(unknown.Name)
	}
	return ""
}

// Errors are all errors of a configuration, in file order. It is never empty.
type Errors []*Error

// Error returns all errors and their hints, one per line.
func (e Errors) Error() string {
	var lines []string
	for _, err := range e {
		lines = append(lines, err.Error())
		if err.hint != "" {
			lines = append(lines, "hint: "+err.hint)
		}
	}
	return strings.Join(lines, "\n")
}

// Class classifies the error for the exit code.
func (e Errors) Class() fault.Class { return fault.Config }

// Add appends an error unless an equal one is present. An error that occurs on every platform is
// reported once.
func (e *Errors) Add(err *Error) {
	if !slices.ContainsFunc(*e, func(known *Error) bool { return known.Error() == err.Error() }) {
		*e = append(*e, err)
	}
}

// Sorted sorts the errors in file order.
func (e Errors) Sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}

// Path is the path from the top of the file to a value: strings are keys, ints are list indexes.
type Path []any

// plainKey matches keys that a path shows without brackets.
var plainKey = lazy(`^[A-Za-z0-9_/-]+$`)

func (p Path) String() string {
	var s strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&s, "[%d]", step)
		case string:
			switch {
			case !plainKey().MatchString(step):
				s.WriteString("[" + strconv.Quote(step) + "]")
			case s.Len() > 0:
				s.WriteString("." + step)
			default:
				s.WriteString(step)
			}
		}
	}
	return s.String()
}

// to returns the path extended by steps. It does not modify p.
func (p Path) to(steps ...any) Path { return append(slices.Clip(p), steps...) }

// notBecauseOf drops from found the errors that may be consequences of unread, the values that
// could not be parsed: errors at the same path, above it, or below a value.
func notBecauseOf(unread, found Errors) Errors {
	var own Errors
	for _, f := range found {
		if !slices.ContainsFunc(
			unread,
			func(u *Error) bool { return within(f.Path, u.Path) || !u.key && within(u.Path, f.Path) },
		) {
			own = append(own, f)
		}
	}
	return own
}

// within reports whether path is outer or inside it.
func within(outer, path string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}
