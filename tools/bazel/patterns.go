package bazel

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// patterns are the glob of a file entry, for Bazel: what is excluded is so whatever else says.
type patterns struct{ include, exclude []string }

// translate reads the patterns of a file entry, or says why Bazel's glob cannot do the same.
func translate(globs []string) (p patterns, err error) {
	if len(globs) == 0 {
		return patterns{include: []string{"**"}}, nil
	}
	for _, g := range globs {
		pattern, exclude := strings.CutPrefix(g, "!")
		if err := expressible(pattern); err != nil {
			return p, err
		}
		switch {
		case exclude:
			p.exclude = append(p.exclude, pattern)
		case len(p.exclude) > 0:
			return p, hinted("put the patterns with ! last", "in Bazel nothing takes back an exclusion, as %q does here", g)
		default:
			p.include = append(p.include, pattern)
		}
	}
	if p.include == nil {
		p.include = []string{"**"}
	}
	return p, nil
}

// expressible accepts a pattern that means the same to Bazel.
func expressible(pattern string) error {
	const hint = "write patterns of names, * and **, or " + own
	if strings.ContainsAny(pattern, `?[]{}\`) {
		return hinted(hint, "Bazel's glob knows * and ** only, not %q", pattern)
	}
	for _, s := range strings.Split(pattern, "/") {
		switch {
		case s == "" || s == "." || s == "..":
			return hinted(hint, "Bazel's glob wants a plain relative path, not %q", pattern)
		case s != "**" && strings.Contains(s, "**"):
			return hinted("write * for a part of a name", "in Bazel's glob ** stands for whole directories only, not as in %q", pattern)
		}
	}
	return nil
}

// wants is layer.Source.wants: the last pattern that matches decides.
func (p patterns) wants(below string) bool {
	return matches(p.include, below) && !matches(p.exclude, below)
}

func matches(patterns []string, below string) bool {
	return slices.ContainsFunc(patterns, func(g string) bool { return doublestar.MatchUnvalidated(g, below) })
}

// in returns the patterns as they are seen from a directory below; ok is false where nothing there is included.
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

// rest returns what is left of a pattern once it has matched some directories, each way it can.
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

// hidden adds to patterns what they match in names that start with a dot: in Bazel a leading * stands for no dot,
// unless it is the whole name (UnixGlob.java).
func hidden(patterns []string) []string {
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

// below puts patterns under a directory.
func below(dir string, patterns []string) []string {
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

// hintedError says what to do next.
type hintedError struct {
	error
	hint string
}

// Hint says what to do next.
func (e hintedError) Hint() string { return e.hint }

// Unwrap returns the error without its hint.
func (e hintedError) Unwrap() error { return e.error }

func hinted(hint, format string, args ...any) error {
	return hintedError{fmt.Errorf(format, args...), hint}
}

var errOutside = errors.New("leads out of the Bazel workspace")
