package release

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// ImageMetadata describes a built index for machines.
type ImageMetadata struct {
	Digest    v1.Hash                     `json:"digest"`
	Size      int64                       `json:"size"`
	MediaType string                      `json:"mediaType"`
	Platforms map[string]PlatformMetadata `json:"platforms"`
	Pushed    []string                    `json:"pushed,omitempty"` // references, each with its digest
}

// PlatformMetadata describes one image of an index.
type PlatformMetadata struct {
	Digest v1.Hash `json:"digest"`
	Size   int64   `json:"size"` // of the manifest
}

// NewImageMetadata describes an index.
func NewImageMetadata(index v1.ImageIndex) (ImageMetadata, error) {
	list, err := index.IndexManifest()
	if err != nil {
		return ImageMetadata{}, err
	}
	raw, err := index.RawManifest()
	if err != nil {
		return ImageMetadata{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return ImageMetadata{}, err
	}
	m := ImageMetadata{
		Digest: digest, Size: int64(len(raw)), MediaType: string(list.MediaType), Platforms: map[string]PlatformMetadata{},
	}
	for _, c := range children(list) {
		m.Platforms[c.name] = PlatformMetadata{c.descriptor.Digest, c.descriptor.Size}
	}
	return m, nil
}

// child is an image of an index.
type child struct {
	// name is the platform, with the version of Windows if there is one, as index create takes it:
	// windows/amd64:10.0.20348.169. It is unique in its index.
	name       string
	platform   arch.Platform
	descriptor v1.Descriptor
}

// children returns the images of an index, in its order, without attestations and other artifacts.
func children(index *v1.IndexManifest) []child {
	var all []child
	for _, d := range index.Manifests {
		if d.Platform == nil || !manifest.IsImage(d) {
			continue
		}
		p := arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
		name := p.String()
		if d.Platform.OSVersion != "" {
			name += ":" + d.Platform.OSVersion
		}
		all = append(all, child{name, p, d})
	}
	return all
}

// Metadata describes a release for machines, by image and repository.
type Metadata map[string]map[string]*RepositoryMetadata

// RepositoryMetadata describes what a release publishes in one repository.
type RepositoryMetadata struct {
	// Digest is the digest of the index. A repository of images for single platforms has none.
	Digest v1.Hash `json:"digest,omitzero"`
	// Tags are those of the index, or of the image for one platform.
	Tags      []string           `json:"tags"`
	Platforms map[string]v1.Hash `json:"platforms"`
}

// Metadata describes the release. The result is the same before and after publishing.
func (r *Release) Metadata() (Metadata, error) {
	all := Metadata{}
	at := func(image, repository string) *RepositoryMetadata {
		if all[image] == nil {
			all[image] = map[string]*RepositoryMetadata{}
		}
		if all[image][repository] == nil {
			all[image][repository] = &RepositoryMetadata{Tags: []string{}, Platforms: map[string]v1.Hash{}}
		}
		return all[image][repository]
	}
	for _, t := range r.Targets {
		digest, err := t.Index.Digest()
		if err != nil {
			return nil, fmt.Errorf("describing %s: %w", t.Name, err)
		}
		list, err := t.Index.IndexManifest()
		if err != nil {
			return nil, fmt.Errorf("describing %s: %w", t.Name, err)
		}
		members := children(list)
		whole := at(t.Name, t.Repository)
		whole.Digest, whole.Tags = digest, append(whole.Tags, t.Tags...)
		for _, c := range members {
			whole.Platforms[c.name] = c.descriptor.Digest
		}
		for _, i := range t.PerPlatform {
			colon := strings.LastIndex(i.Reference, ":")
			own := at(t.Name, i.Reference[:colon])
			if n := slices.IndexFunc(members, func(c child) bool { return c.platform == i.Platform }); n >= 0 {
				own.Platforms[members[n].name] = members[n].descriptor.Digest
			}
			if tag := i.Reference[colon+1:]; !slices.Contains(own.Tags, tag) {
				own.Tags = append(own.Tags, tag)
			}
		}
	}
	return all, nil
}
