package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// metadata says what was made, for machines.
type metadata struct {
	Digest    v1.Hash                  `json:"digest"`
	Size      int64                    `json:"size"`
	MediaType string                   `json:"mediaType"`
	Platforms map[string]childMetadata `json:"platforms"`
	Pushed    []string                 `json:"pushed,omitempty"` // references, each with its digest
}

type childMetadata struct {
	Digest v1.Hash `json:"digest"`
	Size   int64   `json:"size"` // of the manifest
}

func metadataOf(r build.Result) (metadata, error) {
	manifest, err := r.Index.IndexManifest()
	if err != nil {
		return metadata{}, err
	}
	raw, err := r.Index.RawManifest()
	if err != nil {
		return metadata{}, err
	}
	digest, err := r.Index.Digest()
	if err != nil {
		return metadata{}, err
	}
	m := metadata{Digest: digest, Size: int64(len(raw)), MediaType: string(manifest.MediaType), Platforms: map[string]childMetadata{}}
	for _, c := range childrenOf(manifest) {
		m.Platforms[c.name] = childMetadata{c.descriptor.Digest, c.descriptor.Size}
	}
	return m, nil
}

// child is an image of an index.
type child struct {
	// name is its platform, with the version of Windows where there is one, as index create takes them:
	// windows/amd64:10.0.20348.169. No two images of an index have the same.
	name       string
	platform   arch.Platform
	descriptor v1.Descriptor
}

// childrenOf returns the images of an index, in its order, without attestations and other artifacts.
func childrenOf(index *v1.IndexManifest) []child {
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

// releaseMetadata says what was released, for machines: by image and repository.
type releaseMetadata map[string]map[string]*repositoryMetadata

type repositoryMetadata struct {
	// Digest is that of the index. A repository of intermediate images has none.
	Digest v1.Hash `json:"digest,omitzero"`
	// Tags are those of the index, or of the one image.
	Tags      []string           `json:"tags"`
	Platforms map[string]v1.Hash `json:"platforms"`
}

// metadata describes a release. It says the same before and after it.
func (r *release) metadata() (releaseMetadata, error) {
	all := releaseMetadata{}
	at := func(image, repository string) *repositoryMetadata {
		if all[image] == nil {
			all[image] = map[string]*repositoryMetadata{}
		}
		if all[image][repository] == nil {
			all[image][repository] = &repositoryMetadata{Tags: []string{}, Platforms: map[string]v1.Hash{}}
		}
		return all[image][repository]
	}
	for _, t := range r.targets {
		digest, err := t.Index.Digest()
		if err != nil {
			return nil, fmt.Errorf("describing %s: %w", t.Name, err)
		}
		manifest, err := t.Index.IndexManifest()
		if err != nil {
			return nil, fmt.Errorf("describing %s: %w", t.Name, err)
		}
		children := childrenOf(manifest)
		whole := at(t.Name, t.Repository)
		whole.Digest, whole.Tags = digest, append(whole.Tags, t.Tags...)
		for _, c := range children {
			whole.Platforms[c.name] = c.descriptor.Digest
		}
		for _, i := range t.PerPlatform {
			colon := strings.LastIndex(i.Reference, ":")
			own := at(t.Name, i.Reference[:colon])
			if n := slices.IndexFunc(children, func(c child) bool { return c.platform == i.Platform }); n >= 0 {
				own.Platforms[children[n].name] = children[n].descriptor.Digest
			}
			if tag := i.Reference[colon+1:]; !slices.Contains(own.Tags, tag) {
				own.Tags = append(own.Tags, tag)
			}
		}
	}
	return all, nil
}

// checkMetadata finds out whether the file can be written, before anything is done that it would tell of.
func (o buildFlags) checkMetadata() error {
	if o.metadata == "" {
		return nil
	}
	err := replaceable(o.metadata)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(filepath.Dir(o.metadata), "."+filepath.Base(o.metadata)+"-"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("the metadata could not be written: %w", err)
	}
	return nil
}

// writeMetadata writes the file that was asked for, if one was.
func (o buildFlags) writeMetadata(all any) error {
	if o.metadata == "" {
		return nil
	}
	content, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = writeFile(o.metadata, append(content, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the metadata: %w", err)
	}
	return nil
}
