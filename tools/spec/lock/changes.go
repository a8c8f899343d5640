package lock

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two lock files.
type Change struct {
	Base string // name of the base
	What string // platform or package, "" for the whole base
	// From and To are digests or versions, "" if there is none.
	From, To string
	// Security is set if To contains a version from the security archive that From lacks.
	Security bool
}

func (c Change) String() string {
	what := c.Base
	if c.What != "" {
		what += " " + c.What
	}
	switch {
	case c.From == "":
		return fmt.Sprintf("%s: %s", what, c.To)
	case c.To == "":
		return fmt.Sprintf("%s: %s removed", what, c.From)
	}
	if c.Security {
		return fmt.Sprintf("%s: %s -> %s (security)", what, c.From, c.To)
	}
	return fmt.Sprintf("%s: %s -> %s", what, c.From, c.To)
}

// Changes returns the differences between two lock files, by base: digests of the index and of the
// images per platform, or versions of Debian packages. Either file may be nil.
func Changes(from, to *File) []Change {
	var changes []Change
	a, b := entries(from), entries(to)
	for _, base := range union(a, b) {
		for _, what := range union(a[base], b[base]) {
			if x, y := a[base][what], b[base][what]; x != y {
				changes = append(changes, Change{base, what, x, y, x != "" && to.secures(base, what, from)})
			}
		}
	}
	return changes
}

// entries returns the values of a lock file that can change, by base and subject.
func entries(f *File) map[string]map[string]string {
	all := map[string]map[string]string{}
	if f == nil {
		return all
	}
	for name, b := range f.Bases {
		facts := map[string]string{}
		if b.Image != nil {
			facts[""] = b.Image.Reference
			for p, c := range b.Image.Platforms {
				facts[p] = c.Manifest.Digest.String()
			}
		}
		if b.Static != nil {
			facts[""] = b.Static.Digest.String()
			facts["CA roots"] = b.Static.CARoots
			facts["time zones"] = b.Static.TimeZones
		}
		if b.Debian != nil {
			facts[""] = b.Debian.Suite // a new date alone is not a change
			for name, versions := range b.Debian.versions() {
				facts[name] = versions
			}
		}
		all[name] = facts
	}
	return all
}

// secures reports whether the base has a version of the package from the security archive that it
// lacks in from.
func (f *File) secures(base, name string, from *File) bool {
	if f == nil || from == nil || f.Bases[base].Debian == nil || from.Bases[base].Debian == nil {
		return false
	}
	before := map[string]bool{}
	for _, packages := range from.Bases[base].Debian.Architectures {
		for _, p := range packages {
			before[p.Name+" "+p.Version] = true
		}
	}
	d := f.Bases[base].Debian
	for _, packages := range d.Architectures {
		for _, p := range packages {
			if p.Name == name && d.Origin(p).Security && !before[p.Name+" "+p.Version] {
				return true
			}
		}
	}
	return false
}

// versions returns the version of each package. Versions that differ between architectures are
// listed with them.
func (d *Debian) versions() map[string]string {
	found := map[string]map[string][]string{}
	for _, a := range slices.Sorted(maps.Keys(d.Architectures)) {
		for _, p := range d.Architectures[a] {
			if found[p.Name] == nil {
				found[p.Name] = map[string][]string{}
			}
			found[p.Name][p.Version] = append(found[p.Name][p.Version], a)
		}
	}
	all := map[string]string{}
	for name, versions := range found {
		var words []string
		for _, v := range slices.Sorted(maps.Keys(versions)) {
			word := v
			if len(versions[v]) < len(d.Architectures) {
				word += " (" + strings.Join(versions[v], " ") + ")"
			}
			words = append(words, word)
		}
		all[name] = strings.Join(words, ", ")
	}
	return all
}

func union[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}
