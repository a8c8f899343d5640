package lock

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// Want is a base that has to be locked, with the platforms that images want of it.
type Want struct {
	Name      string
	Base      config.Base
	Platforms []arch.Platform // in table order
	// Static is the static base that this multiarch makes; nil for other bases.
	Static *Static
}

// Wants lists the bases to lock that images use, by name: those from registries, those of Debian packages, and the static
// base, if static says what it is.
func Wants(c *config.Config, static *Static) []Want {
	platforms := map[string]map[arch.Platform]bool{}
	for n, i := range c.Images {
		if !i.From.IsZero() {
			continue
		}
		for _, p := range c.PlatformsOf(n) {
			name := cmp.Or(i.On(p).Base.Name, config.Static)
			b, ok := c.BaseOf(name)
			if ok && (b.Builtin == "" || b.Builtin == config.Static && static != nil) {
				if platforms[name] == nil {
					platforms[name] = map[arch.Platform]bool{}
				}
				platforms[name][p] = true
			}
		}
	}
	var wants []Want
	for _, name := range slices.Sorted(maps.Keys(platforms)) {
		list := slices.SortedFunc(maps.Keys(platforms[name]), func(a, b arch.Platform) int {
			return cmp.Compare(arch.Order(a), arch.Order(b))
		})
		w := Want{Name: name, Platforms: list}
		if w.Base, _ = c.BaseOf(name); w.Base.Builtin != "" {
			w.Static = static
		}
		wants = append(wants, w)
	}
	return wants
}

// Architectures are the Debian architectures of the platforms wanted, sorted. Several platforms may share one.
func (w Want) Architectures() []string {
	var list []string
	for _, p := range w.Platforms {
		if row, ok := arch.Find(p); ok && row.Debian != "" {
			list = append(list, row.Debian)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Components are those of a Debian suite that a base draws from.
func Components(d config.Debian) []string {
	if len(d.Components) == 0 {
		return []string{"main"}
	}
	return d.Components
}

// StaleError is returned where multiarch.yaml asks for what the lock does not have.
type StaleError struct {
	Base, What string
}

func (e *StaleError) Error() string { return fmt.Sprintf("bases.%s: %s", e.Base, e.What) }

// Hint says what mends it.
func (e *StaleError) Hint() string { return "run: multiarch lock" }

// Stale lists what the wants ask for and the file does not have, and what it has that nobody wants any more. f may be
// nil: there is no file.
func (f *File) Stale(wants []Want) []*StaleError {
	var stale []*StaleError
	wanted := map[string]bool{}
	for _, w := range wants {
		wanted[w.Name] = true
		if s := f.StaleBase(w); s != nil {
			stale = append(stale, s)
		}
	}
	if f != nil {
		for _, name := range slices.Sorted(maps.Keys(f.Bases)) {
			if !wanted[name] {
				stale = append(stale, &StaleError{name, "is locked, and no image stands on it"})
			}
		}
	}
	return stale
}

// StaleBase returns what the file lacks of a base, or nil. In contrast to Covers, it reports a base that was locked
// before security updates were included, and a static base that another version of multiarch made.
func (f *File) StaleBase(w Want) *StaleError {
	if s := f.Covers(w); s != nil {
		return s
	}
	if f == nil {
		return nil
	}
	if locked := f.Bases[w.Name].Static; locked != nil && *locked != *w.Static {
		return &StaleError{w.Name, fmt.Sprintf("is locked as %s, and this multiarch makes %s", locked, w.Static)}
	}
	if d := f.Bases[w.Name].Debian; d != nil && d.Security == nil && !w.Base.Debian.Security.Off {
		return &StaleError{w.Name, "was locked without the security updates of suite " + d.Suite}
	}
	return nil
}

// Covers returns what a build of w needs and the file does not have, or nil.
func (f *File) Covers(w Want) *StaleError {
	if what := f.stale(w); what != "" {
		return &StaleError{w.Name, what}
	}
	return nil
}

func (f *File) stale(w Want) string {
	if w.Static != nil && !f.Records(w.Name) {
		return ""
	}
	if f == nil {
		return "is not locked: there is no " + Name
	}
	b, ok := f.Bases[w.Name]
	switch {
	case !ok:
		return "is not in " + Name
	case w.Static != nil && b.Static != nil:
		return ""
	case w.Base.Image != "" && b.Image != nil:
		return b.Image.stale(w)
	case w.Base.Debian != nil && b.Debian != nil:
		return b.Debian.stale(w)
	}
	return "is something else in " + Name
}

func (i *Image) stale(w Want) string {
	asked, _, _ := strings.Cut(i.Reference, "@")
	if given, _, fixed := strings.Cut(w.Base.Image, "@"); fixed && i.Reference != w.Base.Image || asked != given {
		return fmt.Sprintf("is %s, and %s is locked", w.Base.Image, i.Reference)
	}
	for _, p := range w.Platforms {
		c, ok := i.Platforms[p.String()]
		if !ok {
			return fmt.Sprintf("has no %s in %s", p, Name)
		}
		if own := string(w.Base.Platforms[p]); own != c.Platform {
			return fmt.Sprintf("takes another image for %s than the one in %s", p, Name)
		}
	}
	return ""
}

func (d *Debian) stale(w Want) string {
	asked := w.Base.Debian
	for _, same := range []struct {
		what         string
		yaml, locked []string
	}{
		{"suite", []string{asked.Suite}, []string{d.Suite}},
		{"components", Components(*asked), d.Components},
		{"packages", Sorted(asked.Packages), d.Packages},
		{"exclude", Sorted(asked.Exclude), d.Exclude},
		{"mirror", given(asked.Mirror), given(d.Mirror)},
		{"keyring", given(asked.Keyring), given(d.Keyring)},
		{"security", given(asked.Security.String()), given(d.security(asked.Security).String())},
	} {
		if !slices.Equal(same.yaml, same.locked) {
			return fmt.Sprintf("%s is %s, and %s is locked", same.what, list(same.yaml), list(same.locked))
		}
	}
	for _, a := range w.Architectures() {
		if _, ok := d.Architectures[a]; !ok {
			return fmt.Sprintf("has no %s in %s", a, Name)
		}
	}
	return ""
}

// security returns what the lock says about security updates. Locks of earlier versions say nothing; builds take them
// whatever is asked for, since what they hold is still what it was.
func (d *Debian) security(asked config.Security) config.Security {
	if d.Security == nil {
		return asked
	}
	return *d.Security
}

func given(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}

// Sorted is a list of packages as the file has it: sorted, each once.
func Sorted(packages []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(packages)))
}

func list(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
