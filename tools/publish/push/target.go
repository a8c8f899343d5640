package push

import (
	"fmt"
	"path"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// Target is an image and where it goes.
type Target struct {
	// Name is the image's name in multiarch.yaml.
	Name  string
	Index v1.ImageIndex
	// Repository is the repository with its registry: registry.example.com/onap/hello.
	Repository string
	// Tags are what the index is called there. Without any it is published by its digest alone.
	Tags []string
	// PerPlatform are the references, with a tag, under which single images of the index are published as well.
	PerPlatform []PlatformTag
	// Sources are repositories where blobs of the index stand already, such as the layers of its base: a registry that has
	// them there is asked to mount them, and their bytes are not read unless it refuses.
	Sources map[v1.Hash]name.Repository
	// Expect is what the first of Tags stood for when Index was made of that; it is not moved if it stands for something else
	// by now. Zero for whatever it may be.
	Expect v1.Hash
	// ExpectMissing is that the first of Tags did not exist when Index was made: it is not moved if it does by now.
	ExpectMissing bool
	// Present are entries of Index that the repository has; see Image.
	Present map[string]bool
	// Immutable are patterns, as path.Match has them, of tags that are not moved once they exist, those of single images
	// included.
	Immutable []string
	// KeepPlatforms refuses to move a tag to something that lacks a platform which the tag has now.
	KeepPlatforms bool
}

// PlatformTag publishes one image of an index under a name of its own, as the classic procedure does:
// onap/hello-arm64v8:latest.
type PlatformTag struct {
	Platform  arch.Platform
	Reference string
}

// Artifact is something that a registry has.
type Artifact struct {
	// Name is the Target's.
	Name string `json:"name"`
	// Platform is set where it is a single image.
	Platform arch.Platform `json:"platform,omitzero"`
	// Reference has the repository as the Target gives it, with a tag or else a digest.
	Reference string  `json:"reference"`
	Digest    v1.Hash `json:"digest"`
}

// delivery is one manifest with all that it consists of, on its way into one repository: the index of a target, or an
// intermediate image.
type delivery struct {
	Artifact // under its digest
	owner    int
	repo     name.Repository
	content  content.Graph
	records  []*record // of content.manifests, in their order
	tags     []*pointer
	// immutable are the target's patterns, keep is its KeepPlatforms.
	immutable []string
	keep      bool
}

// record is a manifest in a repository. Deliveries share it where they share both.
type record struct {
	content.Manifest
	ref   name.Digest
	there bool // it was found, or is stored by now
	put   bool // by this push
	// mu is held while it is being put: two indexes may both consist of it.
	mu sync.Mutex
}

// pointer is a tag of a delivery.
type pointer struct {
	Artifact
	ref       name.Tag
	immutable bool
	state     tagState
	// onto is what it has to stand for until it moves, zero for whatever it may be.
	onto v1.Hash
	// new is that it must not exist until it moves.
	new bool
	// before is what it stood for when that was asked, zero where it did not exist. hidden is that the registry would
	// not say.
	before v1.Hash
	hidden bool
	// unreadable is that the registry fails to read it.
	unreadable bool
	// lost are the platforms that it would lose, of those of the manifest called before.
	lost []arch.Platform
	// kept is what it stood for when it was found that it would lose none; zero like a tag that does not exist.
	kept v1.Hash
}

// tagState is what is known of a tag. The zero value is that it stands for what it stood for before.
type tagState int

const (
	unmoved tagState = iota
	already          // it has stood for what it is to stand for before this push
	moved
	inDoubt
	overtaken // it was moved, and then moved by another release
)

// whole tells whether d is the index of a target; else it is an intermediate image.
func (d delivery) whole() bool { return d.top().IsIndex() }

// top is the delivery's own manifest.
func (d delivery) top() content.Manifest { return d.content.Root() }

// deliveries resolves targets and finds whatever is wrong with them before anything is sent.
func deliveries(client registry.Client, targets []Target) ([]delivery, error) {
	var all []delivery
	holders := map[string]Artifact{}
	for i, t := range targets {
		resolved, err := t.deliveries(client, i)
		if err != nil {
			return nil, err
		}
		for _, d := range resolved {
			for _, p := range d.tags {
				if other, taken := holders[p.ref.Name()]; taken && other.Digest != p.Digest {
					return nil, fmt.Errorf("%s: %s is also the name of %s", p.describe(), p.Reference, other.describe())
				}
				holders[p.ref.Name()] = p.Artifact
			}
		}
		all = append(all, resolved...)
	}
	return all, nil
}

// describe says what it is, without where it is.
func (p Artifact) describe() string {
	if p.Platform == (arch.Platform{}) {
		return p.Name
	}
	return p.Name + ", " + p.Platform.String()
}

// deliveries of a target begin with its index.
func (t Target) deliveries(client registry.Client, owner int) ([]delivery, error) {
	repo, err := client.Repository(t.Repository)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	c, err := content.List(content.Image{Name: t.Name, Index: t.Index, Present: t.Present})
	if err != nil {
		return nil, err
	}
	index := delivery{owner: owner, repo: repo, content: c, immutable: t.Immutable, keep: t.KeepPlatforms}
	index.Artifact = Artifact{Name: t.Name, Digest: index.top().Digest}
	index.Reference = t.Repository + "@" + index.Digest.String()
	for _, tag := range t.Tags {
		if err := reference.CheckTag(tag); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		if err := index.tag(client, t.Repository+":"+tag); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	if len(index.tags) > 0 {
		index.tags[0].onto, index.tags[0].new = t.Expect, t.ExpectMissing
	}
	all := []delivery{index}
	for _, p := range t.PerPlatform {
		d, err := t.intermediate(client, owner, p)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

func (t Target) intermediate(client registry.Client, owner int, p PlatformTag) (delivery, error) {
	descriptors, have, err := content.Runnable(content.Image{Name: t.Name, Index: t.Index})
	if err != nil {
		return delivery{}, err
	}
	i := slices.Index(have, p.Platform)
	if i < 0 {
		return delivery{}, &content.PlatformError{Image: t.Name, Requirement: p.Platform, Have: have}
	}
	img, err := t.Index.Image(descriptors[i].Digest)
	if err != nil {
		return delivery{}, fmt.Errorf("%s, %s: opening the image: %w", t.Name, p.Platform, err)
	}
	d := delivery{owner: owner, immutable: t.Immutable, keep: t.KeepPlatforms}
	if d.content, _, err = content.ListPlatform(img, t.Name, p.Platform); err != nil {
		return delivery{}, err
	}
	d.Artifact = Artifact{Name: t.Name, Platform: p.Platform, Digest: d.top().Digest}
	if err := d.tag(client, p.Reference); err != nil {
		return delivery{}, fmt.Errorf("%s, %s: %w", t.Name, p.Platform, err)
	}
	d.repo = d.tags[0].ref.Context()
	d.Reference = d.repo.Name() + "@" + d.Digest.String()
	return d, nil
}

// tag adds a tag to d unless it has it already.
func (d *delivery) tag(client registry.Client, ref string) error {
	parsed, err := client.Parse(ref)
	if err != nil {
		return err
	}
	tag, ok := parsed.(name.Tag)
	if !ok {
		return fmt.Errorf("reference %q: a tag is needed, not a digest", ref)
	}
	if err := reference.CheckTag(tag.TagStr()); err != nil {
		return err
	}
	if slices.ContainsFunc(d.tags, func(p *pointer) bool { return p.ref.Name() == tag.Name() }) {
		return nil
	}
	pushed := d.Artifact
	pushed.Reference = ref
	matches := func(pattern string) bool {
		ok, err := path.Match(pattern, tag.TagStr())
		return ok || err != nil // what cannot be read is not a permission
	}
	d.tags = append(d.tags, &pointer{Artifact: pushed, ref: tag, immutable: slices.ContainsFunc(d.immutable, matches)})
	return nil
}
