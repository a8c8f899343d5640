package load

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// engineAnnotation holds the full reference of an entry, for containerd, docker and podman.
const engineAnnotation = "io.containerd.image.name"

// ociEntries returns the files of an OCI archive, which are those of a layout.
func (a Archive) ociEntries(images []content.Image) (map[string]content.File, error) {
	entries := map[string]content.File{"blobs/": {}, "blobs/sha256/": {}}
	var listed []v1.Descriptor
	for _, image := range images {
		graph, d, err := a.selected(image)
		if err != nil {
			return nil, err
		}
		for _, f := range graph.Files() {
			entries[layout.BlobPath(f.Digest)] = f
		}
		tags, err := a.tags(image.Name)
		if err != nil {
			return nil, err
		}
		d.Annotations = map[string]string{layout.NameAnnotation: image.Name}
		if len(tags) == 0 {
			listed = append(listed, d)
		}
		for _, t := range tags {
			d.Annotations = map[string]string{layout.NameAnnotation: image.Name, engineAnnotation: engineName(t)}
			listed = append(listed, d)
		}
	}
	index, err := layout.Index(listed)
	if err != nil {
		return nil, err
	}
	entries[layout.MarkerFile] = content.Literal(layout.MarkerFile, []byte(layout.Marker))
	entries[layout.IndexFile] = content.Literal(layout.IndexFile, index)
	return entries, nil
}

// selected returns what an OCI archive contains of an image: the index, or one image of it.
func (a Archive) selected(image content.Image) (content.Graph, v1.Descriptor, error) {
	if a.Platform == (arch.Platform{}) {
		d, err := content.Describe(image.Index, image.Name)
		if err != nil {
			return content.Graph{}, d, err
		}
		c, err := content.List(image)
		return c, d, err
	}
	img, platform, err := content.Pick(image, a.Platform)
	if err != nil {
		return content.Graph{}, v1.Descriptor{}, err
	}
	return content.ListPlatform(img, image.Name, platform)
}

// engineName returns the full reference, with docker.io for Docker Hub, as container engines expect.
func engineName(t name.Tag) string {
	if rest, hub := strings.CutPrefix(t.Name(), name.DefaultRegistry+"/"); hub {
		return "docker.io/" + rest
	}
	return t.Name()
}

// dockerEntries returns the files of a Docker archive, with the names of go-containerregistry's tarball package. That
// package could write the archive too, but the order of several images would change from run to run.
func (a Archive) dockerEntries(images []content.Image) (map[string]content.File, error) {
	entries := map[string]content.File{}
	list := tarball.Manifest{}
	for _, image := range images {
		img, platform, err := content.Pick(image, a.Platform)
		if err != nil {
			return nil, err
		}
		where := image.Name + ", " + platform.String()
		described, err := a.dockerManifest(image.Name, img)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		m, err := img.Manifest()
		if err != nil {
			return nil, fmt.Errorf("%s: reading the manifest: %w", where, err)
		}
		entries[described.Config] = content.Config(img, m, where).File()
		for i, path := range described.Layers {
			entries[path] = content.Layer(img, m, i, where).File()
		}
		list = append(list, described)
	}
	raw, err := json.Marshal(list)
	entries["manifest.json"] = content.Literal("manifest.json", raw)
	return entries, err
}

// dockerManifest returns an image's entry in manifest.json.
func (a Archive) dockerManifest(image string, img v1.Image) (tarball.Descriptor, error) {
	if len(a.References[image]) == 0 {
		a.References = map[string][]string{image: {image + ":latest"}}
	}
	tags, err := a.tags(image)
	if err != nil {
		return tarball.Descriptor{}, err
	}
	// The library uses the image as a map key, so it must be comparable.
	key := &struct{ v1.Image }{img}
	references := map[name.Reference]v1.Image{}
	for _, t := range tags {
		references[t] = key
	}
	m, err := tarball.ComputeManifest(references)
	if err != nil {
		return tarball.Descriptor{}, err
	}
	if len(m) != 1 {
		return tarball.Descriptor{}, fmt.Errorf("describing the image for docker: expected one entry, got %d", len(m))
	}
	slices.Sort(m[0].RepoTags)
	return m[0], nil
}
