package debian

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Resolve returns the listed packages and their dependencies (Pre-Depends and Depends, but not Recommends), sorted by
// name. Of alternatives, it prefers one that is selected anyway, else the first that exists. Of the providers of a
// virtual package, it prefers one that is selected anyway, else the most important one.
//
// Excluded packages are never selected. A dependency on one counts as satisfied, without an alternative in its place.
// Excluding a package that the suite lacks is allowed, because one list serves all architectures.
//
// Errors are *ResolveError and contain all problems.
func (x *Index) Resolve(packages, exclude []string) ([]Package, error) {
	r := &resolver{
		index: x, excluded: map[string]bool{}, selected: map[string]*candidate{}, requiredBy: map[string]string{},
	}
	for _, name := range exclude {
		r.excluded[name] = true
	}
	for _, name := range packages {
		r.selectListed(name)
	}
	r.resolveDependencies()
	r.checkConflicts()
	if len(r.problems) > 0 {
		return nil, &ResolveError{r.problems}
	}
	var out []Package
	for _, name := range slices.Sorted(maps.Keys(r.selected)) {
		out = append(out, r.selected[name].Package)
	}
	return out, nil
}

type resolver struct {
	index    *Index
	excluded map[string]bool
	selected map[string]*candidate
	// requiredBy is the first package that requires a selected package, "" for listed packages.
	requiredBy map[string]string
	queue      []*candidate // selected packages with unresolved dependencies
	choices    []dependency // dependencies that several packages satisfy
	problems   []error
}

type dependency struct {
	dependent *candidate
	alternatives
}

// selectListed selects a package of the list.
func (r *resolver) selectListed(name string) {
	if r.excluded[name] {
		r.problems = append(r.problems, fmt.Errorf("package %q is both listed and excluded", name))
		return
	}
	if all := r.index.packages[name]; len(all) > 0 {
		r.selectPackage(all[0], "")
		return
	}
	unknown := &UnknownError{
		What: "package", Name: name, In: fmt.Sprintf("suite %s for %s", r.index.suite, r.index.arch),
	}
	for _, p := range r.index.providers[name] {
		if !slices.Contains(unknown.Providers, p.Name) {
			unknown.Providers = append(unknown.Providers, p.Name)
		}
	}
	if len(unknown.Providers) == 0 {
		unknown.Known = similar(name, slices.Collect(maps.Keys(r.index.packages)))
	}
	r.problems = append(r.problems, unknown)
}

func (r *resolver) selectPackage(c *candidate, requiredBy string) {
	if r.selected[c.Name] != nil {
		return
	}
	r.selected[c.Name], r.requiredBy[c.Name] = c, requiredBy
	r.queue = append(r.queue, c)
}

// resolveDependencies resolves dependencies without a choice first, so that choices can prefer packages that are
// selected anyway.
func (r *resolver) resolveDependencies() {
	for len(r.queue) > 0 || len(r.choices) > 0 {
		for len(r.queue) > 0 {
			c := r.queue[0]
			r.queue = r.queue[1:]
			for _, field := range c.depends {
				for _, group := range parseRelations(field) {
					r.add(dependency{c, group})
				}
			}
		}
		if len(r.choices) > 0 {
			next := r.choices[0]
			r.choices = r.choices[1:]
			r.resolve(next)
		}
	}
}

// add resolves a dependency, or defers it if several packages satisfy it.
func (r *resolver) add(d dependency) {
	if options := r.options(d.alternatives); len(options) > 1 {
		r.choices = append(r.choices, d)
	} else {
		r.resolve(d)
	}
}

// resolve selects a package that satisfies a dependency.
func (r *resolver) resolve(d dependency) {
	options := r.options(d.alternatives)
	for _, c := range options {
		if r.selected[c.Name] == c {
			return
		}
	}
	for _, c := range options {
		switch {
		case r.excluded[c.Name]:
			return
		case r.selected[c.Name] == nil:
			r.selectPackage(c, d.dependent.Name)
			return
		}
	}
	// The suite may have an excluded package in another version, or not at all.
	for _, rel := range d.alternatives {
		if r.excluded[rel.name] {
			return
		}
	}
	problem := &UnsatisfiableError{Relation: d.alternatives.String(), Available: r.available(d.alternatives)}
	for name := d.dependent.Name; name != ""; name = r.requiredBy[name] {
		problem.Chain = append(problem.Chain, name)
	}
	r.problems = append(r.problems, problem)
}

// checkConflicts reports selected packages that conflict with or break each other (Debian Policy, sections 7.3 and
// 7.4). A package never conflicts with itself, so it may conflict with a virtual package that it provides.
func (r *resolver) checkConflicts() {
	for _, name := range slices.Sorted(maps.Keys(r.selected)) {
		for _, field := range r.selected[name].excludes {
			for _, group := range parseRelations(field) {
				for _, other := range r.options(group) {
					if other.Name == name || r.selected[other.Name] != other {
						continue
					}
					r.problems = append(r.problems, &IncompatibleError{
						Package: name, Relation: group.String(), With: other.Package.String(),
					})
				}
			}
		}
	}
}

// options returns the packages that satisfy one of the alternatives, in order of preference.
func (r *resolver) options(group alternatives) []*candidate {
	var out []*candidate
	add := func(c *candidate) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	for _, rel := range group {
		for _, c := range r.index.packages[rel.name] {
			if rel.allows(c.Version) {
				add(c)
			}
		}
		for _, p := range r.index.providers[rel.name] {
			// An unversioned Provides never satisfies a versioned relation (Debian Policy, section 7.5).
			if rel.op == "" || p.version != "" && rel.allows(p.version) {
				add(p.candidate)
			}
		}
	}
	return out
}

// available describes the versions that exist of packages whose relations are not satisfied.
func (r *resolver) available(group alternatives) string {
	var out []string
	for _, rel := range group {
		if c := r.selected[rel.name]; c != nil {
			out = append(out, fmt.Sprintf("%s has version %s", rel.name, c.Version))
		} else if all := r.index.packages[rel.name]; len(all) > 0 {
			out = append(out, fmt.Sprintf("%s has version %s", rel.name, all[0].Version))
		} else if all := r.index.providers[rel.name]; len(all) > 0 {
			version := "without a version"
			if all[0].version != "" {
				version = "in version " + all[0].version
			}
			out = append(out, fmt.Sprintf("%s is provided by %s %s", rel.name, all[0].Name, version))
		}
	}
	return strings.Join(out, ", ")
}
