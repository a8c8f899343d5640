package config

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// Debian policy, 5.6.1 "Source": what a package may be called. A suite may be in a folder: bookworm/updates.
var (
	packagePattern = lazy(`^[a-z0-9][a-z0-9+.-]+$`)
	suitePattern   = lazy(`^[a-z][a-z0-9.-]*(/[a-z][a-z0-9.-]*)*$`)
)

func (r *reader) checkDebian(at Path, d Debian) {
	if !suitePattern().MatchString(d.Suite) && d.Suite != "" {
		r.fail(at.to("suite"), "write its name, such as trixie or stable", "%q is not a suite", d.Suite)
	}
	if len(d.Packages) == 0 {
		r.fail(at.to("packages"), "name at least one package", "has no package")
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"packages", d.Packages}, {"exclude", d.Exclude}} {
		for i, name := range list.names {
			if !packagePattern().MatchString(name) {
				r.fail(at.to(list.key, i), "write its name alone, in lower case, such as python3-flask", "%q is not a package", name)
			}
		}
	}
	for i, name := range d.Exclude {
		if slices.Contains(d.Packages, name) {
			r.fail(at.to("exclude", i), "remove one of them", "%s is in packages as well", name)
		}
	}
	for i, name := range d.Components {
		if !suitePattern().MatchString(name) {
			r.fail(at.to("components", i), "write main, contrib, non-free or the like", "%q is not a component", name)
		}
	}
	if d.Mirror != "" && !isMirror(d.Mirror) {
		r.fail(at.to("mirror"), "write it as http://deb.debian.org/debian", "%q is not a mirror", reference.Redact(d.Mirror))
	}
}

// checkOwnWords looks at what an image is said to call a platform. It is taken as it is, so that linux/arm is not
// linux/arm/v7 here.
func (r *reader) checkOwnWords(at Path, b Base) {
	if b.Platforms != nil && b.Image == "" {
		r.fail(at.to("platforms"), "remove it", "is only for a base that is an image")
	}
	for _, p := range slices.SortedFunc(maps.Keys(b.Platforms), byTable) {
		if p == (arch.Platform{}) {
			continue // it could not be read, and that has been said
		}
		word := string(b.Platforms[p])
		if own, err := v1.ParsePlatform(word); err != nil || own.Architecture == "" || strings.Count(word, "/") > 2 {
			r.fail(at.to("platforms", p.String()), "write it as the image does: os/architecture or os/architecture/variant", "%q is not a platform", word)
		} else if own.OS != p.OS || own.Architecture != p.Architecture {
			r.fail(at.to("platforms", p.String()), "only the variant may be another", "%s cannot stand for %s", word, p)
		}
	}
}
