// Package pull reads base images from registries. Resolve records what a reference currently refers to, for the lock
// file. Puller opens images that the lock file records: it verifies every byte, keeps blobs in the cache, and downloads
// a layer only when the layer is read.
package pull

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// child is an image that the index of a base lists.
type child struct {
	v1.Descriptor
	platform v1.Platform
}

// Resolve reads from the registry which manifests the image of w has for its platforms. If platforms are missing, an
// *UnavailableError lists all of them.
func Resolve(ctx context.Context, client registry.Client, w lock.Requirement) (*lock.Image, error) {
	fail := func(hint string, err error) (*lock.Image, error) {
		return nil, &UnavailableError{w.Name, err, hint}
	}
	ref, err := client.Parse(w.Base.Image)
	if err != nil {
		return fail("", err)
	}
	puller, err := remote.NewPuller(client.Options(ctx)...)
	if err != nil {
		return fail("", err)
	}
	top, err := puller.Get(ctx, ref)
	if err != nil {
		return fail("check the name, the tag and the login", fmt.Errorf("reading %s: %w", ref, err))
	}
	children, err := childrenOf(ctx, puller, ref.Context(), top)
	if err != nil {
		return fail("", fmt.Errorf("reading %s: %w", ref, err))
	}
	chosen, hint, err := chooseAll(children, w)
	if err != nil {
		return fail(hint, fmt.Errorf("%s %w", ref, err))
	}
	reference, _, _ := strings.Cut(w.Base.Image, "@")
	image := &lock.Image{
		Reference: reference + "@" + top.Digest.String(), MediaType: top.MediaType, Platforms: map[string]lock.Child{},
	}
	locked := make([]lock.Child, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(client.Jobs, 8))
	for i, c := range chosen {
		group.Go(func() (err error) {
			locked[i], err = readManifest(ctx, puller, ref.Context(), c)
			locked[i].Platform = string(w.Base.Platforms[w.Platforms[i]])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fail("", fmt.Errorf("reading %s: %w", ref, err))
	}
	for i, p := range w.Platforms {
		image.Platforms[p.String()] = locked[i]
	}
	return image, nil
}

// childrenOf returns the images of an index, or the image itself if top is one. It skips other entries, such as the
// attestations that buildx adds.
func childrenOf(
	ctx context.Context, puller *remote.Puller, repo name.Repository, top *remote.Descriptor,
) ([]child, error) {
	list := v1.IndexManifest{Manifests: []v1.Descriptor{top.Descriptor}}
	if top.MediaType.IsIndex() {
		list = v1.IndexManifest{}
		if err := json.Unmarshal(top.Manifest, &list); err != nil {
			return nil, fmt.Errorf("reading the index: %w", err)
		}
	} else if !top.MediaType.IsImage() {
		return nil, fmt.Errorf("media type %q is neither an image nor an index", top.MediaType)
	}
	var children []child
	for _, d := range list.Manifests {
		if !d.MediaType.IsImage() || !manifest.IsImage(d) {
			continue
		}
		c := child{Descriptor: d}
		if d.Platform == nil {
			config, err := configOf(ctx, puller, repo, d)
			if err != nil {
				return nil, err
			}
			d.Platform = config.Platform()
		}
		if c.platform = *d.Platform; !manifest.IsImage(d) {
			continue
		}
		children = append(children, c)
	}
	return children, nil
}

// configOf reads the config of an image, which names the platform if the index does not.
func configOf(
	ctx context.Context, puller *remote.Puller, repo name.Repository, d v1.Descriptor,
) (*v1.ConfigFile, error) {
	desc, err := puller.Get(ctx, repo.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	img, err := desc.Image()
	if err != nil {
		return nil, err
	}
	return img.ConfigFile()
}

// chooseAll returns the images for the platforms of w, in their order, or an error with its hint.
func chooseAll(children []child, w lock.Requirement) (chosen []child, hint string, err error) {
	chosen = make([]child, len(w.Platforms))
	var missing []string
	for i, p := range w.Platforms {
		var ok bool
		if chosen[i], ok, err = choose(children, p, string(w.Base.Platforms[p])); err != nil {
			hint := fmt.Sprintf("use a tag or a digest that has only one of them, or select one: platforms: {%s: ...}", p)
			return nil, hint, err
		} else if !ok {
			missing = append(missing, p.String())
		}
	}
	if len(missing) == 0 {
		return chosen, "", nil
	}
	hint = fmt.Sprintf("it has: %s; if one of these fits, declare it: platforms: {%s: ...}; "+
		"or use another base for this platform: base: {default: %s, %[2]s: ...}",
		strings.Join(platformNames(children), ", "), missing[0], w.Name)
	return nil, hint, fmt.Errorf("has no %s", strings.Join(missing, ", "))
}

// choose returns the image for a platform. Only linux/arm64 and linux/arm64/v8 are equal; no other platforms match each
// other. If declared is not empty, it is the platform to look for, as the base spells it.
func choose(children []child, want arch.Platform, declared string) (child, bool, error) {
	var found []child
	for _, c := range children {
		p := c.platform
		matches := arch.Canonical(p.OS, p.Architecture, p.Variant) == want
		if declared != "" {
			matches = platformName(p) == declared
		}
		if matches && !slices.ContainsFunc(found, func(f child) bool { return f.Digest == c.Digest }) {
			found = append(found, c)
		}
	}
	if len(found) > 1 {
		var list []string
		for _, f := range found {
			list = append(list, f.platform.String()+" "+f.Digest.String())
		}
		return child{}, false, fmt.Errorf("has several images for %s: %s", want, strings.Join(list, ", "))
	}
	if len(found) == 0 {
		return child{}, false, nil
	}
	return found[0], true, nil
}

// platformName returns a platform as the base spells it.
func platformName(p v1.Platform) string {
	return (&v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}).String()
}

func platformNames(children []child) []string {
	var out []string
	for _, c := range children {
		if name := platformName(c.platform); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return []string{"no images"}
	}
	return out
}

// readManifest reads what the lock file records about an image.
func readManifest(ctx context.Context, puller *remote.Puller, repo name.Repository, c child) (lock.Child, error) {
	desc, err := puller.Get(ctx, repo.Digest(c.Digest.String()))
	if err != nil {
		return lock.Child{}, err
	}
	var m v1.Manifest
	if err := json.Unmarshal(desc.Manifest, &m); err != nil {
		return lock.Child{}, fmt.Errorf("reading manifest %s: %w", c.Digest, err)
	}
	locked := lock.Child{
		Manifest:   lock.Blob{Digest: desc.Digest, Size: desc.Size, MediaType: desc.MediaType},
		Config:     blobOf(m.Config),
		Layers:     []lock.Blob{},
		OSVersion:  c.platform.OSVersion,
		OSFeatures: c.platform.OSFeatures,
	}
	for _, l := range m.Layers {
		if _, err := image.LayerType(l.MediaType); err != nil {
			return lock.Child{}, fmt.Errorf("manifest %s: %w", c.Digest, err)
		}
		locked.Layers = append(locked.Layers, blobOf(l))
	}
	return locked, nil
}

func blobOf(d v1.Descriptor) lock.Blob {
	return lock.Blob{Digest: d.Digest, Size: d.Size, MediaType: d.MediaType}
}
