package debian

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// UnknownError is returned for an architecture, a component or a package that an archive does not have.
type UnknownError struct {
	What  string   // architecture, component or package
	Name  string   // the unknown name
	In    string   // the searched suite
	Known []string // existing names; for packages, only similar ones
	// Providers lists the packages that provide a virtual package of this name.
	Providers []string
}

func (e *UnknownError) Error() string {
	if len(e.Providers) > 0 {
		return fmt.Sprintf("%s %q is a virtual package in %s", e.What, e.Name, e.In)
	}
	return fmt.Sprintf("%s %q not found in %s", e.What, e.Name, e.In)
}

// Class classifies the error for the exit code.
func (e *UnknownError) Class() fault.Class { return fault.Base }

// Hint suggests similar names or the providers.
func (e *UnknownError) Hint() string {
	if len(e.Providers) > 0 {
		return "list a package that provides it: " + strings.Join(e.Providers, ", ")
	}
	return suggest.Hint(e.Name, e.Known)
}

// similar returns the few names that are closest to name. A suite has too many packages to list them all in a hint.
func similar(name string, names []string) []string {
	const few = 5
	type match struct {
		name     string
		distance int
	}
	maxDistance := max(2, len(name)/3)
	var found []match
	for _, n := range names {
		if max(len(n)-len(name), len(name)-len(n)) > maxDistance {
			continue
		}
		if d := levenshtein.Distance(name, n, nil); d <= maxDistance {
			found = append(found, match{n, d})
		}
	}
	slices.SortFunc(found, func(a, b match) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, f := range found[:min(few, len(found))] {
		out = append(out, f.name)
	}
	return out
}

// UnsatisfiableError is returned for a dependency that no package of a suite satisfies.
type UnsatisfiableError struct {
	// Chain leads from the package with the dependency to the listed package that requires it.
	Chain     []string
	Relation  string // as in the package: libc6 (>= 2.41)
	Available string // versions that the suite has instead, "" if none
}

func (e *UnsatisfiableError) Error() string {
	name := e.Chain[0]
	if len(e.Chain) > 1 {
		name += " (required by " + strings.Join(e.Chain[1:], ", required by ") + ")"
	}
	return fmt.Sprintf("%s depends on %s, but %s", name, e.Relation, cmp.Or(e.Available, "no package satisfies it"))
}

// Hint suggests ways to resolve the dependency.
func (e *UnsatisfiableError) Hint() string {
	return "exclude " + e.Chain[0] + " or its dependency, or use another suite; " +
		"if the mirror is being updated, try again later"
}

// IncompatibleError is returned for two packages that cannot be installed together.
type IncompatibleError struct {
	Package  string
	Relation string // its Conflicts or Breaks
	With     string // the other package, with its version
}

func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("%s conflicts with %s, but %s is also selected", e.Package, e.Relation, e.With)
}

// Hint suggests ways to resolve the conflict.
func (e *IncompatibleError) Hint() string { return "list only one of them, or exclude one" }

// ResolveError reports all problems of a list of packages.
type ResolveError struct{ Problems []error }

func (e *ResolveError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

// Class classifies the error for the exit code.
func (e *ResolveError) Class() fault.Class { return fault.Base }

// Unwrap returns the problems.
func (e *ResolveError) Unwrap() []error { return e.Problems }

// Hint joins the hints of the problems.
func (e *ResolveError) Hint() string {
	var hints []string
	for _, p := range e.Problems {
		if hint := fault.HintOf(p); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return strings.Join(hints, "\n")
}
