package image

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// environment is the environment of a base image: NAME=value entries as in image configs.
type environment struct {
	entries []string
	fold    bool // names are case-insensitive, as on Windows
}

// EnvError is returned for the value of a variable that cannot be expanded.
type EnvError struct {
	Name string // of the variable
	What string
	hint string
}

func (e *EnvError) Error() string { return fmt.Sprintf("env: %s: %s", e.Name, e.What) }

// Hint returns how to write the value.
func (e *EnvError) Hint() string { return e.hint }

// with returns the environment of an image: the base's entries that own does not set, then own with
// its values expanded.
func (e environment) with(own []string) ([]string, error) {
	var all []string
	for _, entry := range e.entries {
		if !slices.ContainsFunc(own, func(o string) bool { return e.same(nameOf(o), nameOf(entry)) }) {
			all = append(all, entry)
		}
	}
	for n, entry := range own {
		name, value, _ := strings.Cut(entry, "=")
		if slices.ContainsFunc(own[:n], func(o string) bool { return e.same(nameOf(o), name) }) {
			return nil, &EnvError{name, "is set twice", "keep one of them; on Windows names are case-insensitive"}
		}
		value, err := e.expand(value)
		if err != nil {
			err.Name = name
			return nil, err
		}
		all = append(all, name+"="+value)
	}
	return all, nil
}

func nameOf(entry string) string {
	name, _, _ := strings.Cut(entry, "=")
	return name
}

func (e environment) same(a, b string) bool { return a == b || e.fold && strings.EqualFold(a, b) }

// lookup returns a variable's value. The last of several entries applies.
func (e environment) lookup(name string) (value string, ok bool) {
	for _, entry := range slices.Backward(e.entries) {
		if n, v, _ := strings.Cut(entry, "="); e.same(n, name) {
			return v, true
		}
	}
	return "", false
}

// expand replaces $NAME, ${NAME}, ${NAME:-default} and ${NAME:+alternative} as in Dockerfiles, and
// $$ by a dollar sign. A dollar sign before anything else is literal. An undefined name is an
// error: a misspelled $PAHT would leave an image without its PATH.
func (e environment) expand(s string) (string, *EnvError) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		var (
			value string
			err   *EnvError
		)
		switch {
		case strings.HasPrefix(rest, "$"):
			value, s = "$", rest[1:]
		case strings.HasPrefix(rest, "{"):
			end := closing(rest)
			if end < 0 {
				return "", &EnvError{What: fmt.Sprintf("%q has no closing brace", "$"+rest),
					hint: "add }, or write $$ for a literal dollar sign"}
			}
			value, err = e.braced(rest[1:end])
			s = rest[end+1:]
		default:
			name := leadingName(rest)
			if name == "" {
				value, s = "$", rest
				break
			}
			value, err = e.value(name)
			s = rest[len(name):]
		}
		if err != nil {
			return "", err
		}
		out.WriteString(value)
	}
}

// braced expands the text between braces.
func (e environment) braced(s string) (string, *EnvError) {
	name := leadingName(s)
	operator := s[len(name):]
	if name != "" && operator == "" {
		return e.value(name)
	}
	value, set := e.lookup(name)
	if after, ok := strings.CutPrefix(operator, ":"); ok {
		operator, set = after, set && value != ""
	}
	switch {
	case name == "" || operator == "":
	case operator[0] == '-' && set:
		return value, nil
	case operator[0] == '-', operator[0] == '+' && set:
		return e.expand(operator[1:])
	case operator[0] == '+':
		return "", nil
	}
	return "", &EnvError{What: fmt.Sprintf("cannot expand %q", "${"+s+"}"),
		hint: "write ${NAME}, ${NAME:-default} or ${NAME:+alternative}, or $$ for a literal dollar sign"}
}

func (e environment) value(name string) (string, *EnvError) {
	if value, ok := e.lookup(name); ok {
		return value, nil
	}
	var known []string
	for _, entry := range e.entries {
		known = append(known, nameOf(entry))
	}
	hint := fmt.Sprintf("write $$%s for a literal dollar sign, or ${%s:-} if it may be undefined", name, name)
	if near := suggest.Of(name, known); near != "" {
		hint = "did you mean $" + near + "? " + hint
	}
	return "", &EnvError{What: fmt.Sprintf("the base does not define $%s", name), hint: hint}
}

// leadingName returns the name at the start of s.
func leadingName(s string) string {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= 'a' && s[n] <= 'z' || n > 0 &&
		s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return s[:n]
}

// closing returns the index of the brace that matches the one at the start of s, or -1.
func closing(s string) int {
	depth := 0
	for n, c := range s {
		switch {
		case c == '{' && (n == 0 || s[n-1] == '$'):
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return n
			}
		}
	}
	return -1
}
