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

// checkPlatforms returns a *LostPlatformsError if tags would lose platforms that their targets keep. It reads what
// several tags of a target have in common once. Content that cannot be read counts as having no platforms.
func (p *pusher) checkPlatforms(ctx context.Context) error {
	var mu sync.Mutex
	var e LostPlatformsError
	work := hostQueues{}
	for _, u := range p.images {
		if !u.keepPlatforms {
			continue
		}
		read := map[v1.Hash]bool{}
		for _, t := range u.tags {
			t.lost = nil
			if t.state == upToDate || t.before == t.checked || t.change().Refused() || read[t.before] {
				continue
			}
			read[t.before] = true
			ref := u.repo.Digest(t.before.String())
			work.add(u.repo, func(ctx context.Context) error {
				had, err := p.platforms(ctx, ref, u.isIndex())
				if err != nil {
					return fmt.Errorf("%s: reading the platforms of %s: %w", u.label(), t.Reference, err)
				}
				lost := slices.DeleteFunc(had, u.runsOn)
				mu.Lock()
				defer mu.Unlock()
				for _, same := range u.tags {
					switch {
					case same.before != t.before || same.state == upToDate:
					case len(lost) == 0:
						same.checked = same.before
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

// platforms returns the platforms of an index or image. That of a single image is in its config, which is read only if
// readConfig is set.
func (p *pusher) platforms(ctx context.Context, ref name.Digest, readConfig bool) ([]arch.Platform, error) {
	var old *remote.Descriptor
	err := p.client.Retry(ctx, func(ctx context.Context) (err error) {
		old, err = p.puller.Get(ctx, ref)
		return err
	})
	switch {
	case absent(err), serverFailed(err):
		return nil, nil
	case err != nil:
		return nil, err
	case old.MediaType.IsIndex():
		return indexPlatforms(old)
	case old.MediaType.IsImage() && readConfig:
		return p.imagePlatform(ctx, old)
	}
	return nil, nil
}

// indexPlatforms returns the platforms that an index lists, each once.
func indexPlatforms(old *remote.Descriptor) ([]arch.Platform, error) {
	index, err := old.ImageIndex()
	if err != nil {
		return nil, nil //nolint:nilerr // an invalid index runs nowhere
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

// imagePlatform returns the platform in the config of a single image.
func (p *pusher) imagePlatform(ctx context.Context, old *remote.Descriptor) ([]arch.Platform, error) {
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
	case absent(err), serverFailed(err):
		return nil, nil
	case err != nil && registry.Temporary(err):
		return nil, err
	case err != nil || config.OS == "" || config.Architecture == "":
		return nil, nil // it runs nowhere
	}
	return []arch.Platform{arch.Canonical(config.OS, config.Architecture, config.Variant)}, nil
}

// runsOn reports whether u has an image for machines of a platform.
func (u imageUpload) runsOn(p arch.Platform) bool {
	return arch.BestMatch(p, u.platforms()) >= 0
}

// platforms returns the platforms of the images of u.
func (u imageUpload) platforms() []arch.Platform {
	if !u.isIndex() {
		return []arch.Platform{u.Platform}
	}
	var all []arch.Platform
	for _, m := range u.graph.Manifests {
		if m.Platform != (arch.Platform{}) {
			all = append(all, m.Platform)
		}
	}
	return all
}

// LostPlatformsError is returned if tags would lose platforms.
type LostPlatformsError struct{ Tags []TagChange }

func (e *LostPlatformsError) Error() string {
	var parts []string
	for _, t := range e.Tags {
		parts = append(parts, fmt.Sprintf("%s: the tag %s would lose %s", t.label(), t.Reference, PlatformNames(t.Lost)))
	}
	if len(parts) > maxListed {
		parts = append(parts[:maxListed-1], fmt.Sprintf("and %d other tags", len(parts)-maxListed+1))
	}
	return strings.Join(slices.Compact(parts), "; ")
}

// Hint names the ways to keep the platforms, and the flag that drops them.
func (e *LostPlatformsError) Hint() string {
	return fmt.Sprintf("publish all platforms, or give these a tag of their own (--tag) and add them with "+
		"multiarch index create %s --append --replace REF; --allow-fewer-platforms moves the tag anyway", e.Tags[0].Reference)
}

// PlatformNames joins platforms for messages.
func PlatformNames(all []arch.Platform) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.String()
	}
	return strings.Join(names, ", ")
}
