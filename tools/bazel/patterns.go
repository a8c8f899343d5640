package bazel

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// patterns are the glob patterns of a file entry in Bazel's terms: exclusions take precedence over inclusions.
type patterns struct{ include, exclude []string }

// translate converts the patterns of a file entry, or returns an error if Bazel's glob has no equivalent.
func translate(globs []string) (p patterns, err error) {
	if len(globs) == 0 {
		return patterns{include: []string{"**"}}, nil
	}
	for _, g := range globs {
		pattern, exclude := strings.CutPrefix(g, "!")
		if err := checkPattern(pattern); err != nil {
			return p, err
		}
		switch {
		case exclude:
			p.exclude = append(p.exclude, pattern)
		case len(p.exclude) > 0:
			return p, withHint(
				"move the patterns with ! to the end",
				"Bazel's glob cannot include files again after an exclusion, as %q does",
				g,
			)
		default:
			p.include = append(p.include, pattern)
		}
	}
	if p.include == nil {
		p.include = []string{"**"}
	}
	return p, nil
}

// checkPattern returns an error if a pattern has a different meaning in Bazel.
func checkPattern(pattern string) error {
	const hint = "use patterns of names, * and **, or " + ownTargetHint
	if strings.ContainsAny(pattern, `?[]{}\`) {
		return withHint(hint, "unsupported pattern %q: Bazel's glob supports only * and **", pattern)
	}
	for _, s := range strings.Split(pattern, "/") {
		switch {
		case s == "" || s == "." || s == "..":
			return withHint(hint, "unsupported pattern %q: Bazel's glob requires a plain relative path", pattern)
		case s != "**" && strings.Contains(s, "**"):
			return withHint(
				"use * for a part of a name",
				"unsupported pattern %q: in Bazel's glob, ** matches only whole directories",
				pattern,
			)
		}
	}
	return nil
}

// matches reports whether a path matches, as layer.Source.wants does: the last matching pattern decides.
func (p patterns) matches(below string) bool {
	return matchesAny(p.include, below) && !matchesAny(p.exclude, below)
}

func matchesAny(patterns []string, below string) bool {
	return slices.ContainsFunc(patterns, func(g string) bool { return doublestar.MatchUnvalidated(g, below) })
}

// in returns the patterns relative to a subdirectory. ok is false if no pattern includes anything below it.
func (p patterns) in(dir string) (seen patterns, ok bool) {
	return patterns{from(p.include, dir), from(p.exclude, dir)}, len(from(p.include, dir)) > 0
}

func from(patterns []string, dir string) []string {
	var all []string
	for _, g := range patterns {
		all = append(all, rest(strings.Split(g, "/"), segments(dir))...)
	}
	return unique(all)
}

func segments(dir string) []string {
	if dir == "" {
		return nil
	}
	return strings.Split(dir, "/")
}

// rest returns all remainders of a pattern after it has matched the directories.
func rest(pattern, dirs []string) []string {
	if len(dirs) == 0 {
		return []string{strings.Join(pattern, "/")}
	}
	if len(pattern) == 0 {
		return nil
	}
	if pattern[0] == "**" {
		all := rest(pattern, dirs[1:])
		if len(pattern) > 1 {
			all = append(all, rest(pattern[1:], dirs)...)
		}
		return all
	}
	if len(pattern) > 1 && doublestar.MatchUnvalidated(pattern[0], dirs[0]) {
		return rest(pattern[1:], dirs[1:])
	}
	return nil
}

// withDotFiles adds patterns for names that start with a dot: in Bazel a leading * does not match a dot unless it is
// the whole name (UnixGlob.java).
func withDotFiles(patterns []string) []string {
	var all []string
	for _, g := range patterns {
		variants := []string{""}
		for _, s := range strings.Split(g, "/") {
			forms := []string{s}
			if s != "*" && strings.HasPrefix(s, "*") && s != "**" {
				forms = append(forms, "."+s)
			}
			var longer []string
			for _, f := range forms {
				for _, v := range variants {
					longer = append(longer, path.Join(v, f))
				}
			}
			variants = longer
		}
		all = append(all, variants...)
	}
	return unique(all)
}

// prefixed joins a directory to patterns.
func prefixed(dir string, patterns []string) []string {
	var all []string
	for _, g := range patterns {
		all = append(all, path.Join(dir, g))
	}
	return all
}

func unique(list []string) []string {
	var all []string
	for _, s := range list {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// hintedError is an error with a hint.
type hintedError struct {
	error
	hint string
}

// Hint returns how to fix the error.
func (e hintedError) Hint() string { return e.hint }

// Unwrap returns the error without its hint.
func (e hintedError) Unwrap() error { return e.error }

func withHint(hint, format string, args ...any) error {
	return hintedError{fmt.Errorf(format, args...), hint}
}

var errOutside = errors.New("is outside the Bazel workspace")
