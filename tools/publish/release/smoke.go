package release

import (
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// SmokeTest is one image of a release to start before anything is published.
type SmokeTest struct {
	Image string
	// Name is the platform, with the version of Windows if there is one.
	Name     string
	Platform arch.Platform
	Config   config.Smoke

	index  v1.ImageIndex
	digest v1.Hash
}

// Open returns the image to start.
func (t SmokeTest) Open() (v1.Image, error) { return t.index.Image(t.digest) }

// SmokeTests returns the tests of all images that have smoke:, without the platforms that it skips. If joinedOnly is
// true, it returns only tests of images that join existing ones. It calls note for everything that is left out.
func (r *Release) SmokeTests(joinedOnly bool, note func(format string, args ...any)) ([]SmokeTest, error) {
	var tests []SmokeTest
	seen := map[string]bool{}
	for _, t := range r.Targets {
		if seen[t.Name] {
			continue
		}
		seen[t.Name] = true
		var entry *config.Smoke
		joined := false
		if r.Config != nil {
			entry, joined = r.Config.Images[t.Name].Smoke, !r.Config.Images[t.Name].From.IsZero()
		}
		if joinedOnly && !joined {
			continue
		}
		if entry == nil {
			note("multiarch: %s has no smoke test", t.Name)
			continue
		}
		manifest, err := t.Index.IndexManifest()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", t.Name, err)
		}
		for _, c := range children(manifest) {
			if slices.Contains(entry.Skip, c.platform) {
				note("%s: %s skipped (smoke.skip)", t.Name, c.name)
				continue
			}
			tests = append(tests, SmokeTest{t.Name, c.name, c.platform, *entry, t.Index, c.descriptor.Digest})
		}
	}
	return tests, nil
}
