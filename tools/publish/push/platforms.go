package push

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// narrowing refuses to move tags to fewer platforms than they have, for targets that keep their platforms. What several
// tags of a target stand for is read once. If that cannot be read, nothing is known of its platforms.
func (p *push) narrowing(ctx context.Context) error {
	var mu sync.Mutex
	var e LostPlatformsError
	work := lanes{}
	for _, d := range p.all {
		if !d.keep {
			continue
		}
		asked := map[v1.Hash]bool{}
		for _, t := range d.tags {
			t.lost = nil
			if t.state == already || t.before == t.kept || t.change().Refused() || asked[t.before] {
				continue
			}
			asked[t.before] = true
			ref := d.repo.Digest(t.before.String())
			work.add(d.repo, func(ctx context.Context) error {
				had, err := p.platforms(ctx, ref, d.whole())
				if err != nil {
					return fmt.Errorf("%s: reading the platforms of %s: %w", d.describe(), t.Reference, err)
				}
				lost := slices.DeleteFunc(had, d.serves)
				mu.Lock()
				defer mu.Unlock()
				for _, same := range d.tags {
					switch {
					case same.before != t.before || same.state == already:
					case len(lost) == 0:
						same.kept = same.before
					default:
						same.lost = lost
						e.Tags = append(e.Tags, same.change())
					}
				}
				return nil
			})
		}
	}
	if err := p.run(ctx, work); err != nil {
		return err
	}
	if len(e.Tags) == 0 {
		return nil
	}
	slices.SortFunc(e.Tags, func(a, b TagChange) int { return strings.Compare(a.Reference, b.Reference) })
	return &e
}

// platforms are those of what a repository has under a digest. The one of a single image is known from its config, which
// is read only if it matters.
func (p *push) platforms(ctx context.Context, ref name.Digest, config bool) ([]arch.Platform, error) {
	var old *remote.Descriptor
	err := p.client.Retry(ctx, func(ctx context.Context) (err error) {
		old, err = p.puller.Get(ctx, ref)
		return err
	})
	switch {
	case absent(err), broken(err):
		return nil, nil
	case err != nil:
		return nil, err
	case old.MediaType.IsIndex():
		return indexPlatforms(old)
	case old.MediaType.IsImage() && config:
		return p.imagePlatform(ctx, old)
	}
	return nil, nil
}

// indexPlatforms are those that an index lists, each once.
func indexPlatforms(old *remote.Descriptor) ([]arch.Platform, error) {
	index, err := old.ImageIndex()
	if err != nil {
		return nil, nil //nolint:nilerr // nobody can run what is not an index
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	var all []arch.Platform
	for _, d := range list.Manifests {
		if p := content.PlatformOf(d); p != (arch.Platform{}) && manifest.IsImage(d) && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// imagePlatform is that of a single image, as its config has it.
func (p *push) imagePlatform(ctx context.Context, old *remote.Descriptor) ([]arch.Platform, error) {
	var config *v1.ConfigFile
	err := p.client.Retry(ctx, func(context.Context) error {
		img, err := old.Image()
		if err != nil {
			return err
		}
		config, err = img.ConfigFile()
		return err
	})
	switch {
	case absent(err), broken(err):
		return nil, nil
	case err != nil && registry.Temporary(err):
		return nil, err
	case err != nil || config.OS == "" || config.Architecture == "":
		return nil, nil // nobody can run it
	}
	return []arch.Platform{arch.Canonical(config.OS, config.Architecture, config.Variant)}, nil
}

// serves tells whether a machine of a platform finds an image in d.
func (d delivery) serves(p arch.Platform) bool {
	return arch.BestMatch(p, d.platforms()) >= 0
}

// platforms are those of the images of d.
func (d delivery) platforms() []arch.Platform {
	if !d.whole() {
		return []arch.Platform{d.Platform}
	}
	var all []arch.Platform
	for _, m := range d.content.Manifests {
		if m.Platform != (arch.Platform{}) {
			all = append(all, m.Platform)
		}
	}
	return all
}

// LostPlatformsError is returned for tags that would lose platforms.
type LostPlatformsError struct{ Tags []TagChange }

func (e *LostPlatformsError) Error() string {
	var parts []string
	for _, t := range e.Tags {
		parts = append(parts, fmt.Sprintf("%s: the tag %s would lose %s", t.describe(), t.Reference, PlatformNames(t.Lost)))
	}
	if len(parts) > few {
		parts = append(parts[:few-1], fmt.Sprintf("and %d other tags", len(parts)-few+1))
	}
	return strings.Join(slices.Compact(parts), "; ")
}

// Hint says what to do about it.
func (e *LostPlatformsError) Hint() string {
	return fmt.Sprintf("publish all platforms, or give these a tag of their own (--tag) and add them with "+
		"multiarch index create %s --append --replace REF; --allow-fewer-platforms moves the tag all the same", e.Tags[0].Reference)
}

// PlatformNames lists platforms for messages.
func PlatformNames(all []arch.Platform) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.String()
	}
	return strings.Join(names, ", ")
}
