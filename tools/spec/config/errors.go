package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Position is a place in a file. Line and Column count from 1, columns in characters.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Error is one thing that is wrong with a configuration, at one place.
type Error struct {
	Position
	// Path leads to the value: images.hello.platforms[1]. It is "" for an error of the YAML itself.
	Path string
	Err  error
	hint string
	key  bool // about a key; the value that stands under it could be read
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Position.String() + ": " + e.Err.Error()
	}
	return e.Position.String() + ": " + e.Path + ": " + e.Err.Error()
}

// Unwrap returns what is wrong without the place.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what is allowed, or what to do next; it may be "".
func (e *Error) Hint() string { return e.hint }

// hintOf returns the hint of an error, or of one that it wraps.
func hintOf(err error) string {
	var hinting interface{ Hint() string }
	if errors.As(err, &hinting) {
		return hinting.Hint()
	}
	return ""
}

// Errors is everything that is wrong with a configuration, in the order of the file. It is never empty.
type Errors []*Error

// Error lists all errors with their hints, a line each.
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

// Add adds an error unless it is there already: what is wrong on every platform is said once.
func (e *Errors) Add(err *Error) {
	if !slices.ContainsFunc(*e, func(known *Error) bool { return known.Error() == err.Error() }) {
		*e = append(*e, err)
	}
}

// Sorted puts errors in the order of the file.
func (e Errors) Sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}

// Path leads from the top of the file to a value: keys are strings, places in a list are ints.
type Path []any

// plainKey matches a key that a path shows without brackets.
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

// to returns the path with steps added; p itself is never changed.
func (p Path) to(steps ...any) Path { return append(slices.Clip(p), steps...) }

// notBecauseOf leaves out of found what may only have been found because something could not be read: what is wrong
// at the same path or above it, and below a value.
func notBecauseOf(unread, found Errors) Errors {
	var own Errors
	for _, f := range found {
		if !slices.ContainsFunc(unread, func(u *Error) bool { return within(f.Path, u.Path) || !u.key && within(u.Path, f.Path) }) {
			own = append(own, f)
		}
	}
	return own
}

// within tells whether path is outer or leads to something in it.
func within(outer, path string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}
