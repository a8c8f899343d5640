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

// Requirement is a base to lock, with the platforms that images need.
type Requirement struct {
	Name      string
	Base      config.Base
	Platforms []arch.Platform // in table order
	// Static is the static base that this version of multiarch builds; nil for other bases.
	Static *Static
}

// Requirements returns the lockable bases that images use, sorted by name: bases in registries,
// Debian bases, and the static base unless static is nil.
func Requirements(c *config.Config, static *Static) []Requirement {
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
	var all []Requirement
	for _, name := range slices.Sorted(maps.Keys(platforms)) {
		list := slices.SortedFunc(maps.Keys(platforms[name]), func(a, b arch.Platform) int {
			return cmp.Compare(arch.Order(a), arch.Order(b))
		})
		w := Requirement{Name: name, Platforms: list}
		if w.Base, _ = c.BaseOf(name); w.Base.Builtin != "" {
			w.Static = static
		}
		all = append(all, w)
	}
	return all
}

// Architectures returns the Debian architectures of the platforms, sorted. Several platforms may
// share one.
func (w Requirement) Architectures() []string {
	var list []string
	for _, p := range w.Platforms {
		if row, ok := arch.Find(p); ok && row.Debian != "" {
			list = append(list, row.Debian)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Components returns the components of a Debian suite that a base uses.
func Components(d config.Debian) []string {
	if len(d.Components) == 0 {
		return []string{"main"}
	}
	return d.Components
}

// StaleError is returned if the lock file does not match multiarch.yaml.
type StaleError struct {
	Base, What string
}

func (e *StaleError) Error() string { return fmt.Sprintf("bases.%s: %s", e.Base, e.What) }

// Hint returns the command that updates the lock file.
func (e *StaleError) Hint() string { return "run: multiarch lock" }

// Stale returns the requirements that the file does not meet and the bases in the file that no
// image uses. f may be nil if there is no file.
func (f *File) Stale(all []Requirement) []*StaleError {
	var stale []*StaleError
	wanted := map[string]bool{}
	for _, w := range all {
		wanted[w.Name] = true
		if s := f.StaleBase(w); s != nil {
			stale = append(stale, s)
		}
	}
	if f != nil {
		for _, name := range slices.Sorted(maps.Keys(f.Bases)) {
			if !wanted[name] {
				stale = append(stale, &StaleError{name, "locked, but not used by any image"})
			}
		}
	}
	return stale
}

// StaleBase returns how the file fails to meet a requirement, or nil. Unlike Covers, it reports
// bases locked before security updates were included, and static bases built by another version of
// multiarch.
func (f *File) StaleBase(w Requirement) *StaleError {
	if s := f.Covers(w); s != nil {
		return s
	}
	if f == nil {
		return nil
	}
	if locked := f.Bases[w.Name].Static; locked != nil && *locked != *w.Static {
		return &StaleError{w.Name, fmt.Sprintf("locked as %s, but this version of multiarch builds %s", locked,
			w.Static)}
	}
	if d := f.Bases[w.Name].Debian; d != nil && d.Security == nil && !w.Base.Debian.Security.Off {
		return &StaleError{w.Name, "locked without the security updates of suite " + d.Suite}
	}
	return nil
}

// Covers returns what a build needs and the file does not have, or nil.
func (f *File) Covers(w Requirement) *StaleError {
	if what := f.stale(w); what != "" {
		return &StaleError{w.Name, what}
	}
	return nil
}

func (f *File) stale(w Requirement) string {
	if w.Static != nil && !f.Records(w.Name) {
		return ""
	}
	if f == nil {
		return "not locked: there is no " + Name
	}
	b, ok := f.Bases[w.Name]
	switch {
	case !ok:
		return "not in " + Name
	case w.Static != nil && b.Static != nil:
		return ""
	case w.Base.Image != "" && b.Image != nil:
		return b.Image.stale(w)
	case w.Base.Debian != nil && b.Debian != nil:
		return b.Debian.stale(w)
	}
	return "locked as another kind of base in " + Name
}

func (i *Image) stale(w Requirement) string {
	want, _, _ := strings.Cut(i.Reference, "@")
	if given, _, fixed := strings.Cut(w.Base.Image, "@"); fixed && i.Reference != w.Base.Image || want != given {
		return fmt.Sprintf("changed to %s, but %s is locked", w.Base.Image, i.Reference)
	}
	for _, p := range w.Platforms {
		c, ok := i.Platforms[p.String()]
		if !ok {
			return fmt.Sprintf("%s is not locked in %s", p, Name)
		}
		if own := string(w.Base.Platforms[p]); own != c.Platform {
			return fmt.Sprintf("another image for %s is locked in %s", p, Name)
		}
	}
	return ""
}

func (d *Debian) stale(w Requirement) string {
	want := w.Base.Debian
	for _, same := range []struct {
		what         string
		yaml, locked []string
	}{
		{"suite", []string{want.Suite}, []string{d.Suite}},
		{"components", Components(*want), d.Components},
		{"packages", Sorted(want.Packages), d.Packages},
		{"exclude", Sorted(want.Exclude), d.Exclude},
		{"mirror", given(want.Mirror), given(d.Mirror)},
		{"keyring", given(want.Keyring), given(d.Keyring)},
		{"security", given(want.Security.String()), given(d.security(want.Security).String())},
	} {
		if !slices.Equal(same.yaml, same.locked) {
			return fmt.Sprintf("%s changed to %s, but %s is locked", same.what, list(same.yaml), list(same.locked))
		}
	}
	for _, a := range w.Architectures() {
		if _, ok := d.Architectures[a]; !ok {
			return fmt.Sprintf("%s is not locked in %s", a, Name)
		}
	}
	return ""
}

// security returns the locked setting for security updates. Files of earlier versions have none;
// builds accept them with any setting, since the content of the lock has not changed.
func (d *Debian) security(want config.Security) config.Security {
	if d.Security == nil {
		return want
	}
	return *d.Security
}

func given(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}

// Sorted returns packages sorted and without duplicates, as in the file.
func Sorted(packages []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(packages)))
}

func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
