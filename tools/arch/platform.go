// Package arch is the architecture table: one row per platform with its names, how the go command
// compiles for it, how its executables are recognised and how qemu-user runs them. Everything about
// platforms in multiarch is derived from it, in Go and in generated Starlark. To add an
// architecture, add a row to table.go. The package imports no other package of this module.
package arch

import (
	"fmt"
	"strings"
)

// Platform is an OCI platform in canonical form: arm64 has no variant (v8 is equivalent), arm
// always has one, amd64 has one from v2 up. Canonical platforms can be compared with ==. See
// "platform" in the image index specification.
type Platform struct {
	OS, Architecture, Variant string
}

// String formats p as os/architecture or os/architecture/variant.
func (p Platform) String() string { return p.join("/") }

// Slug returns p as a name: linux_arm_v7. Slugs are unique within the table.
func (p Platform) Slug() string { return p.join("_") }

func (p Platform) join(sep string) string {
	s := p.OS + sep + p.Architecture
	if p.Variant != "" {
		s += sep + p.Variant
	}
	return s
}

// MarshalText returns the string form, which is used in JSON values and map keys.
func (p Platform) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses text as Parse does.
func (p *Platform) UnmarshalText(text []byte) (err error) {
	*p, err = Parse(string(text))
	return err
}

// Canonical returns the canonical form of a platform of a descriptor, an image config or a user.
// Platforms that are not in the table are returned unchanged except for lower case.
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

// Requested returns the canonical form of a platform that a user requests: arm without a variant
// means arm/v7, as in Docker.
func Requested(os, architecture, variant string) Platform {
	p := Canonical(os, architecture, variant)
	if p.Architecture == "arm" && p.Variant == "" {
		p.Variant = "v7"
	}
	return p
}

// UnknownError is returned for a name that is not in the table. suggest.Platform returns a hint for
// it.
type UnknownError struct {
	Name string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown platform %q", e.Name) }

// Names returns the names of all platforms in table order.
func Names() []string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.String()
	}
	return names
}

// Parse parses os/architecture[/variant] as users write it and returns a platform of the table, or
// an *UnknownError. As in Docker, linux/arm means linux/arm/v7. This default does not apply to
// descriptors and configs, where a missing variant proves nothing; use Canonical for those.
func Parse(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 2 {
		parts = append(parts, "")
	}
	if len(parts) == 3 && s == strings.ToLower(s) && !strings.HasSuffix(s, "/") {
		p := Requested(parts[0], parts[1], parts[2])
		if _, ok := Find(p); ok {
			return p, nil
		}
	}
	return Platform{}, &UnknownError{s}
}

// BestMatch returns the index of the platform in have that a runtime on host would choose: host
// itself, else the highest lower variant of the same architecture (an arm/v7 machine runs arm/v6,
// an amd64/v3 machine runs amd64), like containerd's platform matcher. It returns -1 if none
// matches.
func BestMatch(host Platform, have []Platform) int {
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
