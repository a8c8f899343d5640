package debian

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Resolve returns the packages of the given names, and all that they depend on (Pre-Depends and Depends, nothing that
// is recommended), sorted by name. Of alternatives, one that is there anyway is taken, else the first that exists; of
// the providers of a virtual package, one that is there anyway, else the most important one.
//
// What is excluded is left out whole, also where something depends on it: such a dependency counts as fulfilled, and
// nothing else is taken in its place. Names that the suite does not have may be excluded, as one list serves all
// architectures.
//
// An error is a *ResolveError with all problems: *UnknownError, *UnsatisfiableError, *IncompatibleError and others.
func (x *Index) Resolve(packages, exclude []string) ([]Package, error) {
	r := &resolver{index: x, excluded: map[string]bool{}, chosen: map[string]*candidate{}, by: map[string]string{}}
	for _, name := range exclude {
		r.excluded[name] = true
	}
	for _, name := range packages {
		r.ask(name)
	}
	r.run()
	r.compare()
	if len(r.problems) > 0 {
		return nil, &ResolveError{r.problems}
	}
	var out []Package
	for _, name := range slices.Sorted(maps.Keys(r.chosen)) {
		out = append(out, r.chosen[name].Package)
	}
	return out, nil
}

type resolver struct {
	index    *Index
	excluded map[string]bool
	chosen   map[string]*candidate
	by       map[string]string // who wanted it first; "" for what was asked for
	queue    []*candidate      // whose dependencies nobody has looked at
	choices  []choice          // dependencies that more than one package fulfils
	problems []error
}

// choice is a dependency of a package.
type choice struct {
	of *candidate
	alternatives
}

// ask takes in a package by name.
func (r *resolver) ask(name string) {
	if r.excluded[name] {
		r.problems = append(r.problems, fmt.Errorf("package %q is both asked for and excluded", name))
		return
	}
	if all := r.index.packages[name]; len(all) > 0 {
		r.take(all[0], "")
		return
	}
	unknown := &UnknownError{What: "package", Name: name, In: fmt.Sprintf("suite %s for %s", r.index.suite, r.index.arch)}
	for _, p := range r.index.providers[name] {
		if !slices.Contains(unknown.Providers, p.Name) {
			unknown.Providers = append(unknown.Providers, p.Name)
		}
	}
	if len(unknown.Providers) == 0 {
		unknown.Known = nearestOf(name, slices.Collect(maps.Keys(r.index.packages)))
	}
	r.problems = append(r.problems, unknown)
}

func (r *resolver) take(c *candidate, by string) {
	if r.chosen[c.Name] != nil {
		return
	}
	r.chosen[c.Name], r.by[c.Name] = c, by
	r.queue = append(r.queue, c)
}

// run takes in what is without a choice first, so that a choice is made among what is there anyway wherever it can be.
func (r *resolver) run() {
	for len(r.queue) > 0 || len(r.choices) > 0 {
		for len(r.queue) > 0 {
			c := r.queue[0]
			r.queue = r.queue[1:]
			for _, field := range c.depends {
				for _, any := range parseRelations(field) {
					r.want(choice{c, any})
				}
			}
		}
		if len(r.choices) > 0 {
			next := r.choices[0]
			r.choices = r.choices[1:]
			r.settle(next)
		}
	}
}

func (r *resolver) want(w choice) {
	if options := r.options(w.alternatives); len(options) > 1 {
		r.choices = append(r.choices, w)
	} else {
		r.settle(w)
	}
}

// settle decides a dependency.
func (r *resolver) settle(w choice) {
	options := r.options(w.alternatives)
	for _, c := range options {
		if r.chosen[c.Name] == c {
			return
		}
	}
	for _, c := range options {
		switch {
		case r.excluded[c.Name]:
			return
		case r.chosen[c.Name] == nil:
			r.take(c, w.of.Name)
			return
		}
	}
	// An excluded package may be in the suite in another version, or not at all.
	for _, one := range w.alternatives {
		if r.excluded[one.name] {
			return
		}
	}
	problem := &UnsatisfiableError{Relation: w.alternatives.String(), Found: r.found(w.alternatives)}
	for name := w.of.Name; name != ""; name = r.by[name] {
		problem.Wants = append(problem.Wants, name)
	}
	r.problems = append(r.problems, problem)
}

// compare looks for packages that must not be together: Debian Policy, 7.3 and 7.4. No package conflicts with itself, so
// that it can conflict with all others who provide what it provides.
func (r *resolver) compare() {
	for _, name := range slices.Sorted(maps.Keys(r.chosen)) {
		for _, field := range r.chosen[name].excludes {
			for _, any := range parseRelations(field) {
				for _, other := range r.options(any) {
					if other.Name != name && r.chosen[other.Name] == other {
						r.problems = append(r.problems, &IncompatibleError{Package: name, Relation: any.String(), With: other.Package.String()})
					}
				}
			}
		}
	}
}

// options lists the packages that fulfil one of some alternatives, each once, the preferred one first.
func (r *resolver) options(any alternatives) []*candidate {
	var out []*candidate
	add := func(c *candidate) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	for _, one := range any {
		for _, c := range r.index.packages[one.name] {
			if one.allows(c.Version) {
				add(c)
			}
		}
		for _, p := range r.index.providers[one.name] {
			// What is provided without a version fulfils no wish for one: Debian Policy, 7.5.
			if one.op == "" || p.version != "" && one.allows(p.version) {
				add(p.candidate)
			}
		}
	}
	return out
}

// found says what there is of a name whose version is not what is wanted.
func (r *resolver) found(any alternatives) string {
	var out []string
	for _, one := range any {
		if c := r.chosen[one.name]; c != nil {
			out = append(out, fmt.Sprintf("%s is %s", one.name, c.Version))
		} else if all := r.index.packages[one.name]; len(all) > 0 {
			out = append(out, fmt.Sprintf("%s is %s", one.name, all[0].Version))
		} else if all := r.index.providers[one.name]; len(all) > 0 {
			out = append(out, fmt.Sprintf("%s is provided by %s in version %s", one.name, all[0].Name, cmp.Or(all[0].version, "none")))
		}
	}
	return strings.Join(out, ", ")
}
