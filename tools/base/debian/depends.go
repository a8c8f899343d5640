package debian

import (
	"strings"

	"pault.ag/go/debian/version"
)

// relation is what a package wants or provides: Debian Policy, 7.1.
type relation struct {
	name    string
	op      string // one of << <= = >= >>; "" where every version will do
	version string
}

func (r relation) String() string {
	if r.op == "" {
		return r.name
	}
	return r.name + " (" + r.op + " " + r.version + ")"
}

// alternatives are relations of which one is enough.
type alternatives []relation

func (a alternatives) String() string {
	var out []string
	for _, r := range a {
		out = append(out, r.String())
	}
	return strings.Join(out, " | ")
}

// parseRelations reads the value of Depends, Pre-Depends or Provides. Conditions on architectures and build profiles
// do not occur in binary packages.
func parseRelations(field string) []alternatives {
	var out []alternatives
	for part := range strings.SplitSeq(field, ",") {
		var any alternatives
		for one := range strings.SplitSeq(part, "|") {
			one, constraint, _ := strings.Cut(one, "(")
			name := strings.TrimSpace(one)
			// python3:any takes the one of any architecture, so also ours.
			name, _, _ = strings.Cut(name, ":")
			if name == "" {
				continue
			}
			r := relation{name: name}
			constraint, _, _ = strings.Cut(constraint, ")")
			constraint = strings.TrimSpace(constraint)
			r.version = strings.TrimSpace(strings.TrimLeft(constraint, "<>="))
			if r.version != "" {
				r.op = strings.TrimSpace(constraint[:len(constraint)-len(strings.TrimLeft(constraint, "<>="))])
				if r.op == "" {
					r.op = "="
				}
			}
			any = append(any, r)
		}
		if len(any) > 0 {
			out = append(out, any)
		}
	}
	return out
}

// allows tells whether a version is what the relation wants. Versions that are none allow nothing.
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
	case "<=", "<": // The old spelling means <=: deb-control(5).
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

// compareVersions orders versions; one that is none comes before all others.
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
