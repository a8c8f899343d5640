package debian

import (
	"cmp"
	"strings"

	"pault.ag/go/debian/version"
)

// relation names a package and its allowed versions (Debian Policy, section 7.1).
type relation struct {
	name    string
	op      string // one of << <= = >= >>; "" if every version is allowed
	version string
}

func (r relation) String() string {
	if r.op == "" {
		return r.name
	}
	return r.name + " (" + r.op + " " + r.version + ")"
}

// alternatives is a list of relations of which one must be satisfied.
type alternatives []relation

func (a alternatives) String() string {
	var out []string
	for _, r := range a {
		out = append(out, r.String())
	}
	return strings.Join(out, " | ")
}

// parseRelations parses the value of a relation field, such as Depends or Provides. Binary packages have no conditions
// on architectures or build profiles.
func parseRelations(field string) []alternatives {
	var out []alternatives
	for part := range strings.SplitSeq(field, ",") {
		var group alternatives
		for one := range strings.SplitSeq(part, "|") {
			one, constraint, _ := strings.Cut(one, "(")
			name := strings.TrimSpace(one)
			// python3:any allows every architecture, including this one.
			name, _, _ = strings.Cut(name, ":")
			if name == "" {
				continue
			}
			r := relation{name: name}
			constraint, _, _ = strings.Cut(constraint, ")")
			constraint = strings.TrimSpace(constraint)
			version := strings.TrimLeft(constraint, "<>=")
			op := strings.TrimSpace(constraint[:len(constraint)-len(version)])
			if version = strings.TrimSpace(version); version != "" {
				r.op, r.version = cmp.Or(op, "="), version
			}
			group = append(group, r)
		}
		if len(group) > 0 {
			out = append(out, group)
		}
	}
	return out
}

// allows reports whether the relation allows version v. Invalid versions are never allowed.
func (r relation) allows(v string) bool {
	if r.op == "" {
		return true
	}
	have, err := version.Parse(v)
	if err != nil {
		return false
	}
	want, err := version.Parse(r.version)
	if err != nil {
		return false
	}
	order := version.Compare(have, want)
	switch r.op {
	case "<<":
		return order < 0
	case "<=", "<": // see deb-control(5): < is an obsolete spelling of <=
		return order <= 0
	case "=":
		return order == 0
	case ">=", ">":
		return order >= 0
	case ">>":
		return order > 0
	}
	return false
}

// compareVersions orders versions. Invalid versions sort before all others.
func compareVersions(a, b string) int {
	va, errA := version.Parse(a)
	vb, errB := version.Parse(b)
	switch {
	case errA != nil && errB != nil:
		return strings.Compare(a, b)
	case errA != nil:
		return -1
	case errB != nil:
		return 1
	}
	return version.Compare(va, vb)
}
