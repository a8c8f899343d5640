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

// Target is an image index and the repository it is pushed to.
type Target struct {
	// Name is the image's name in multiarch.yaml.
	Name  string
	Index v1.ImageIndex
	// Repository includes the registry: registry.example.com/onap/hello.
	Repository string
	// Tags are the tags of the index. Without tags it is pushed by digest.
	Tags []string
	// PerPlatform are tags of single images of the index.
	PerPlatform []PlatformTag
	// Sources are repositories that have blobs of the index, such as the layers of its base. A registry that has such a
	// repository is asked to mount the blob, and its content is read only if that fails.
	Sources map[v1.Hash]name.Repository
	// Expect is the digest that the first tag must have, because Index was made from it. Zero accepts any digest.
	Expect v1.Hash
	// ExpectMissing requires that the first tag does not exist.
	ExpectMissing bool
	// Present are entries of Index that the repository has; see content.Image.
	Present map[string]bool
	// Immutable are path.Match patterns of tags that do not move once they exist, including tags of single images.
	Immutable []string
	// KeepPlatforms refuses to move a tag to an index that lacks a platform which the tag has now.
	KeepPlatforms bool
}

// PlatformTag is a tag of a single image of an index, as in onap/hello-arm64v8:latest.
type PlatformTag struct {
	Platform  arch.Platform
	Reference string
}

// Artifact is an index or image in a registry, under a tag or digest.
type Artifact struct {
	// Name is that of the Target.
	Name string `json:"name"`
	// Platform is set for a single image.
	Platform arch.Platform `json:"platform,omitzero"`
	// Reference is the repository as in the Target, with a tag or digest.
	Reference string  `json:"reference"`
	Digest    v1.Hash `json:"digest"`
}

// imageUpload is an index, or a single image, to be pushed to one repository.
type imageUpload struct {
	Artifact  // by digest
	target    int
	repo      name.Repository
	graph     content.Graph
	manifests []*manifestUpload // of graph.Manifests, in the same order
	tags      []*tagUpdate

	immutable     []string
	keepPlatforms bool
}

// manifestUpload is a manifest in a repository. Images share it if they share both.
type manifestUpload struct {
	content.Manifest
	ref      name.Digest
	present  bool       // found, or uploaded by now
	uploaded bool       // by this push
	mu       sync.Mutex // held during the upload
}

// tagUpdate is a tag that has to point to an image or index.
type tagUpdate struct {
	Artifact
	ref       name.Tag
	immutable bool
	state     tagState
	// expect is the digest that it must have before it moves, zero for any. expectMissing requires that it does not
	// exist.
	expect        v1.Hash
	expectMissing bool
	// before is its digest when it was last read, zero if it did not exist. hidden reports that the registry did not
	// reveal it, unreadable that the registry failed to read it.
	before             v1.Hash
	hidden, unreadable bool
	// lost are the platforms of before that the new index lacks.
	lost []arch.Platform
	// checked is the value of before for which lost was found to be empty.
	checked v1.Hash
}

type tagState int

const (
	unmoved  tagState = iota // it points to what it pointed to before
	upToDate                 // it pointed to the right digest before this push
	moved
	unknown
	overwritten // moved, and then moved by another release
)

// isIndex reports whether u is the index of a target, as opposed to a single image.
func (u imageUpload) isIndex() bool { return u.graph.Root().IsIndex() }

// resolve parses the targets. It reports all errors that need no registry.
func resolve(client registry.Client, targets []Target) ([]imageUpload, error) {
	var all []imageUpload
	holders := map[string]Artifact{}
	for i, t := range targets {
		images, err := t.resolve(client, i)
		if err != nil {
			return nil, err
		}
		for _, u := range images {
			for _, tag := range u.tags {
				if other, taken := holders[tag.ref.Name()]; taken && other.Digest != tag.Digest {
					return nil, fmt.Errorf("%s: %s is also a tag of %s", tag.label(), tag.Reference, other.label())
				}
				holders[tag.ref.Name()] = tag.Artifact
			}
		}
		all = append(all, images...)
	}
	return all, nil
}

// label names the artifact in messages, without its reference.
func (a Artifact) label() string {
	if a.Platform == (arch.Platform{}) {
		return a.Name
	}
	return a.Name + ", " + a.Platform.String()
}

// resolve returns the index of t first.
func (t Target) resolve(client registry.Client, number int) ([]imageUpload, error) {
	repo, err := client.Repository(t.Repository)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	graph, err := content.List(content.Image{Name: t.Name, Index: t.Index, Present: t.Present})
	if err != nil {
		return nil, err
	}
	index := imageUpload{
		target: number, repo: repo, graph: graph, immutable: t.Immutable, keepPlatforms: t.KeepPlatforms,
	}
	index.Artifact = Artifact{Name: t.Name, Digest: graph.Root().Digest}
	index.Reference = t.Repository + "@" + index.Digest.String()
	for _, tag := range t.Tags {
		if err := reference.CheckTag(tag); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		if err := index.addTag(client, t.Repository+":"+tag); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	if len(index.tags) > 0 {
		index.tags[0].expect, index.tags[0].expectMissing = t.Expect, t.ExpectMissing
	}
	all := []imageUpload{index}
	for _, p := range t.PerPlatform {
		u, err := t.resolvePlatform(client, number, p)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

func (t Target) resolvePlatform(client registry.Client, number int, p PlatformTag) (imageUpload, error) {
	descriptors, have, err := content.PlatformImages(content.Image{Name: t.Name, Index: t.Index})
	if err != nil {
		return imageUpload{}, err
	}
	i := slices.Index(have, p.Platform)
	if i < 0 {
		return imageUpload{}, &content.PlatformError{Image: t.Name, Want: p.Platform, Have: have}
	}
	img, err := t.Index.Image(descriptors[i].Digest)
	if err != nil {
		return imageUpload{}, fmt.Errorf("%s, %s: opening the image: %w", t.Name, p.Platform, err)
	}
	u := imageUpload{target: number, immutable: t.Immutable, keepPlatforms: t.KeepPlatforms}
	if u.graph, _, err = content.ListPlatform(img, t.Name, p.Platform); err != nil {
		return imageUpload{}, err
	}
	u.Artifact = Artifact{Name: t.Name, Platform: p.Platform, Digest: u.graph.Root().Digest}
	if err := u.addTag(client, p.Reference); err != nil {
		return imageUpload{}, fmt.Errorf("%s, %s: %w", t.Name, p.Platform, err)
	}
	u.repo = u.tags[0].ref.Context()
	u.Reference = u.repo.Name() + "@" + u.Digest.String()
	return u, nil
}

// addTag adds a tag unless u has it already.
func (u *imageUpload) addTag(client registry.Client, ref string) error {
	parsed, err := client.Parse(ref)
	if err != nil {
		return err
	}
	tag, ok := parsed.(name.Tag)
	if !ok {
		return fmt.Errorf("reference %q: expected a tag, got a digest", ref)
	}
	if err := reference.CheckTag(tag.TagStr()); err != nil {
		return err
	}
	if slices.ContainsFunc(u.tags, func(t *tagUpdate) bool { return t.ref.Name() == tag.Name() }) {
		return nil
	}
	artifact := u.Artifact
	artifact.Reference = ref
	matches := func(pattern string) bool {
		ok, err := path.Match(pattern, tag.TagStr())
		return ok || err != nil // an invalid pattern must not permit a move
	}
	u.tags = append(u.tags, &tagUpdate{Artifact: artifact, ref: tag, immutable: slices.ContainsFunc(u.immutable, matches)})
	return nil
}
