// Package arch is the architecture table: every fact about a platform, once. The rest of the project asks here what a
// platform is called, how code for it is compiled, recognised and run; a new architecture is one new row in table.go.
package arch

import (
	"fmt"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Platform is an OCI platform in canonical form: arm64 has no variant (v8 says the same), arm always has one, amd64
// has one from v2 up. Canonical platforms compare with ==. Image spec, "Image Index", property platform.
type Platform struct {
	OS, Architecture, Variant string
}

// String formats p as os/architecture or os/architecture/variant.
func (p Platform) String() string { return p.join("/") }

// Slug is p in the form of a name: linux_arm_v7. No two platforms of the table share one.
func (p Platform) Slug() string { return p.join("_") }

func (p Platform) join(sep string) string {
	s := p.OS + sep + p.Architecture
	if p.Variant != "" {
		s += sep + p.Variant
	}
	return s
}

// MarshalText and UnmarshalText make the string form the JSON form, as a value and as a map key.
func (p Platform) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText accepts what Parse accepts.
func (p *Platform) UnmarshalText(text []byte) (err error) {
	*p, err = Parse(string(text))
	return err
}

// Canonical brings what a descriptor, an image config or a person says into canonical form. It knows no errors: what
// is not in the table comes back as it was, in lower case.
func Canonical(os, architecture, variant string) Platform {
	p := Platform{strings.ToLower(os), strings.ToLower(architecture), strings.ToLower(variant)}
	switch p.Architecture + "/" + p.Variant {
	case "arm64/v8", "amd64/v1":
		p.Variant = ""
	case "arm/5", "arm/6", "arm/7":
		p.Variant = "v" + p.Variant
	}
	return p
}

// Asked is Canonical for a platform that a user asks for: arm without a variant means arm/v7, as in Docker.
func Asked(os, architecture, variant string) Platform {
	p := Canonical(os, architecture, variant)
	if p.Architecture == "arm" && p.Variant == "" {
		p.Variant = "v7"
	}
	return p
}

// UnknownError is what Parse returns for a name that is no row of the table.
type UnknownError struct {
	Name string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown platform %q", e.Name) }

// Hint names the platform that is meant, if Name is what another tool calls it or a misspelling, and all others.
func (e *UnknownError) Hint() string {
	if p, ok := named(e.Name); ok {
		return `did you mean "` + p.String() + `"? known: ` + strings.Join(Names(), ", ")
	}
	return suggest.Hint(e.Name, Names())
}

// Names lists the table's platforms in table order.
func Names() []string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.String()
	}
	return names
}

// Parse reads os/architecture[/variant] as users write it and returns the canonical platform, which is always one of the
// table; any other name is an *UnknownError. As in Docker, linux/arm means linux/arm/v7. That is so for what users ask
// for only: a descriptor or config without a variant proves none, see Canonical.
func Parse(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 2 {
		parts = append(parts, "")
	}
	if len(parts) == 3 && s == strings.ToLower(s) && !strings.HasSuffix(s, "/") {
		p := Asked(parts[0], parts[1], parts[2])
		if _, ok := Find(p); ok {
			return p, nil
		}
	}
	return Platform{}, &UnknownError{s}
}

// Best returns the index of the platform in have that a runtime on host would run: host itself, else the highest
// lower level of the same architecture (an arm/v7 machine runs arm/v6, an amd64/v3 machine plain amd64), as
// containerd's platform matcher does. It returns -1 where none fits.
func Best(host Platform, have []Platform) int {
	best := -1
	for i, p := range have {
		if p.OS != host.OS || p.Architecture != host.Architecture || p.Variant > host.Variant {
			continue
		}
		if best < 0 || p.Variant > have[best].Variant {
			best = i
		}
	}
	return best
}
