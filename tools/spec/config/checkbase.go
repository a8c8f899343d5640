package config

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// Package names follow Debian policy, 5.6.1 "Source". A suite may contain slashes:
// bookworm/updates.
var (
	packagePattern = lazy(`^[a-z0-9][a-z0-9+.-]+$`)
	suitePattern   = lazy(`^[a-z][a-z0-9.-]*(/[a-z][a-z0-9.-]*)*$`)
)

func (r *reader) checkDebian(at Path, d Debian) {
	if !suitePattern().MatchString(d.Suite) && d.Suite != "" {
		r.fail(at.to("suite"), "write its name, such as trixie or stable", "invalid suite %q", d.Suite)
	}
	if len(d.Packages) == 0 {
		r.fail(at.to("packages"), "list at least one package", "no package given")
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"packages", d.Packages}, {"exclude", d.Exclude}} {
		for i, name := range list.names {
			if !packagePattern().MatchString(name) {
				r.fail(at.to(list.key, i), "write only the package name, in lower case, such as python3-flask",
					"invalid package %q", name)
			}
		}
	}
	for i, name := range d.Exclude {
		if slices.Contains(d.Packages, name) {
			r.fail(at.to("exclude", i), "remove it from one of the two lists", "%s is also in packages", name)
		}
	}
	for i, name := range d.Components {
		if !suitePattern().MatchString(name) {
			r.fail(at.to("components", i), "write a component such as main, contrib or non-free",
				"invalid component %q", name)
		}
	}
	if d.Mirror != "" && !isMirror(d.Mirror) {
		r.fail(at.to("mirror"), "write it as http://deb.debian.org/debian", "invalid mirror %q",
			reference.Redact(d.Mirror))
	}
}

// checkBasePlatforms checks the names under which a base image lists its platforms. They are taken
// literally: linux/arm is not linux/arm/v7 here.
func (r *reader) checkBasePlatforms(at Path, b Base) {
	if b.Platforms != nil && b.Image == "" {
		r.fail(at.to("platforms"), "remove it", "only applies to bases with image:")
	}
	for _, p := range slices.SortedFunc(maps.Keys(b.Platforms), byTable) {
		if p == (arch.Platform{}) {
			continue // already reported by decode
		}
		word := string(b.Platforms[p])
		if own, err := v1.ParsePlatform(word); err != nil || own.Architecture == "" || strings.Count(word, "/") > 2 {
			r.fail(at.to("platforms", p.String()),
				"write the platform as the image's index has it: os/architecture or os/architecture/variant",
				"invalid platform %q", word)
		} else if own.OS != p.OS || own.Architecture != p.Architecture {
			r.fail(at.to("platforms", p.String()), "use a platform that differs only in the variant",
				"%s cannot replace %s", word, p)
		}
	}
}
