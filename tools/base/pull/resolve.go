// Package pull is a base from a registry: Resolve finds out what it is right now, for the lock; Open reads what the
// lock says, through the cache, each byte checked, and no more of it than somebody asks for.
package pull

import (
	"cmp"
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
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// UnavailableError is returned for a base that cannot be had, or not for a platform.
type UnavailableError struct {
	Base string // its name in multiarch.yaml
	Err  error
	hint string
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("base %s: %v", e.Base, e.Err) }

// Class classifies the error for the exit code.
func (e *UnavailableError) Class() fault.Class { return fault.Base }

// Unwrap returns the reason.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *UnavailableError) Hint() string {
	general := registry.Hint(e.Err, registry.Purpose{Verb: registry.Reading.Verb, Again: "run it again"})
	switch registry.Classify(e.Err) {
	case registry.Unknown, registry.NotFound, registry.NoRepository:
		return cmp.Or(e.hint, general) // which knows about locks
	}
	return general
}

// child is an image of a base, as its index lists it.
type child struct {
	v1.Descriptor
	platform v1.Platform
}

// Resolve asks the registry what w's image is, for every platform wanted; all that are missing are named in one
// *UnavailableError.
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
	chosen := make([]child, len(w.Platforms))
	var missing []string
	for i, p := range w.Platforms {
		var ok bool
		if chosen[i], ok, err = choose(children, p, string(w.Base.Platforms[p])); err != nil {
			return fail("name a tag, or a digest, that has one of them, or say which by platforms:", fmt.Errorf("%s: %w", ref, err))
		} else if !ok {
			missing = append(missing, p.String())
		}
	}
	if len(missing) > 0 {
		return fail("it has: "+strings.Join(words(children), ", ")+"; where one of these will do, say so: platforms: {"+missing[0]+": ...}; or take another base there: base: {default: "+
			w.Name+", "+missing[0]+": ...}", fmt.Errorf("%s has no %s", ref, strings.Join(missing, ", ")))
	}

	reference, _, _ := strings.Cut(w.Base.Image, "@")
	image := &lock.Image{Reference: reference + "@" + top.Digest.String(), MediaType: top.MediaType, Platforms: map[string]lock.Child{}}
	locked := make([]lock.Child, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(client.Jobs, 8))
	for i, c := range chosen {
		group.Go(func() (err error) {
			locked[i], err = read(ctx, puller, ref.Context(), c)
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

// childrenOf lists the images of an index; a single image is its only one. Entries that are no images for a platform,
// such as the attestations that buildx adds, are left out.
func childrenOf(ctx context.Context, puller *remote.Puller, repo name.Repository, top *remote.Descriptor) ([]child, error) {
	list := v1.IndexManifest{Manifests: []v1.Descriptor{top.Descriptor}}
	if top.MediaType.IsIndex() {
		list = v1.IndexManifest{}
		if err := json.Unmarshal(top.Manifest, &list); err != nil {
			return nil, fmt.Errorf("reading the index: %w", err)
		}
	} else if !top.MediaType.IsImage() {
		return nil, fmt.Errorf("it is %s, and neither an image nor an index", top.MediaType)
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

// configOf reads the config of an image whose index does not say what platform it is for.
func configOf(ctx context.Context, puller *remote.Puller, repo name.Repository, d v1.Descriptor) (*v1.ConfigFile, error) {
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

// choose finds the image for a platform. Matching is strict: linux/arm64 is linux/arm64/v8, and nothing else is another
// word for something. own, where it is given, is the word to look for instead.
func choose(children []child, want arch.Platform, own string) (child, bool, error) {
	var found []child
	for _, c := range children {
		p := c.platform
		same := arch.Canonical(p.OS, p.Architecture, p.Variant) == want
		if own != "" {
			same = word(p) == own
		}
		if same && !slices.ContainsFunc(found, func(f child) bool { return f.Digest == c.Digest }) {
			found = append(found, c)
		}
	}
	if len(found) > 1 {
		var said []string
		for _, f := range found {
			said = append(said, f.platform.String()+" "+f.Digest.String())
		}
		return child{}, false, fmt.Errorf("has several images for %s: %s", want, strings.Join(said, ", "))
	}
	if len(found) == 0 {
		return child{}, false, nil
	}
	return found[0], true, nil
}

// word is a platform as the base itself writes it.
func word(p v1.Platform) string {
	return (&v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}).String()
}

func words(children []child) []string {
	var out []string
	for _, c := range children {
		if w := word(c.platform); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return []string{"no image at all"}
	}
	return out
}

// read reads the manifest of an image of the base.
func read(ctx context.Context, puller *remote.Puller, repo name.Repository, c child) (lock.Child, error) {
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
