// Package content lists what an image index consists of: its manifests, and the blobs that these refer to. Pushes,
// archives and OCI layouts all write this list, so that each digest is written once and every manifest before the index
// that refers to it. Listing reads manifests only; layers are opened when they are written.
package content

import (
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// Image is an image index and its name in multiarch.yaml.
type Image struct {
	Name  string
	Index v1.ImageIndex
	// Present are the digests of entries of Index that the destination has already, as they are written in the index.
	// These entries are neither opened nor checked: other tools may list anything in an index.
	Present map[string]bool
	// Annotations are written to the image's entry in the index.json of an OCI layout.
	Annotations map[string]string
}

// CheckNames returns an error if an image has no name, or if two have the same name.
func CheckNames(images []Image) error {
	seen := map[string]bool{}
	for _, i := range images {
		if i.Name == "" {
			return errors.New("every image needs a name")
		}
		if seen[i.Name] {
			return fmt.Errorf("duplicate image name %q", i.Name)
		}
		seen[i.Name] = true
	}
	return nil
}

// Graph is everything that an image consists of, each digest once.
type Graph struct {
	// Manifests are image manifests and indexes. Every manifest precedes the indexes that refer to it, so the last one
	// is the root.
	Manifests []Manifest
	// Blobs are configs and layers.
	Blobs []Blob
}

// Manifest is an image manifest or an index.
type Manifest struct {
	Digest v1.Hash
	Size   int64
	// Platform is zero for an index.
	Platform arch.Platform
	// Label names the manifest in messages: "hello, linux/arm64".
	Label string
	// Blobs are the digests of the config and layers of an image.
	Blobs []v1.Hash
	// Foreign reports whether the image has layers that clients fetch by their URLs.
	Foreign bool
	// Object is the v1.Image or v1.ImageIndex itself.
	Object interface{ RawManifest() ([]byte, error) }
}

// Blob is a config or a layer.
type Blob struct {
	Digest v1.Hash
	Size   int64
	// Label names the blob in messages: "hello, linux/arm64: layer 2".
	Label string
	// Layer opens the blob.
	Layer func() (v1.Layer, error)
}

// List lists what image consists of. Layers that clients fetch by their URLs are not part of it (image spec,
// "Non-Distributable Layers").
func List(image Image) (Graph, error) {
	w := walker{seen: map[v1.Hash]bool{}, present: image.Present}
	d, err := Describe(image.Index, image.Name)
	if err != nil {
		return Graph{}, err
	}
	err = w.index(image.Index, d, image.Name)
	return w.Graph, err
}

// ListPlatform lists what the image of one platform consists of, and returns its descriptor. name is that of the index
// in messages.
func ListPlatform(img v1.Image, name string, p arch.Platform) (Graph, v1.Descriptor, error) {
	w := walker{seen: map[v1.Hash]bool{}}
	label := name + ", " + p.String()
	d, err := Describe(img, label)
	if err != nil {
		return Graph{}, d, err
	}
	d.Platform = &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
	err = w.image(img, d, label)
	return w.Graph, d, err
}

// Describe returns a descriptor with the media type, digest and size of a manifest, and no other fields. label names
// the manifest in errors.
func Describe(m partial.Describable, label string) (v1.Descriptor, error) {
	mediaType, err1 := m.MediaType()
	digest, err2 := m.Digest()
	size, err3 := m.Size()
	if err := errors.Join(err1, err2, err3); err != nil {
		return v1.Descriptor{}, fmt.Errorf("%s: describing the manifest: %w", label, err)
	}
	return v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size}, nil
}

// Files returns all blobs and manifests as files, blobs first: an order in which they can be written.
func (g Graph) Files() []File {
	files := make([]File, 0, len(g.Blobs)+len(g.Manifests))
	for _, b := range g.Blobs {
		files = append(files, b.File())
	}
	for _, m := range g.Manifests {
		files = append(files, m.file())
	}
	return files
}

// Root returns the manifest that refers to all others.
func (g Graph) Root() Manifest { return g.Manifests[len(g.Manifests)-1] }

// IsIndex reports whether m is an index.
func (m Manifest) IsIndex() bool { _, ok := m.Object.(v1.ImageIndex); return ok }

func (m Manifest) file() File {
	return File{m.Digest, m.Size, m.Label, func() (io.ReadCloser, error) {
		raw, err := m.Object.RawManifest()
		return readCloser(raw), err
	}}
}

// File returns the blob as a file.
func (b Blob) File() File {
	return File{b.Digest, b.Size, b.Label, func() (io.ReadCloser, error) {
		layer, err := b.Layer()
		if err != nil {
			return nil, err
		}
		return layer.Compressed()
	}}
}

type walker struct {
	Graph
	seen    map[v1.Hash]bool
	present map[string]bool
}

// first reports whether h has not been seen before.
func (w *walker) first(h v1.Hash) bool {
	seen := w.seen[h]
	w.seen[h] = true
	return !seen
}

func (w *walker) index(index v1.ImageIndex, self v1.Descriptor, label string) error {
	if !w.first(self.Digest) {
		return nil
	}
	raw, err := index.RawManifest()
	if err != nil {
		return fmt.Errorf("%s: reading the index: %w", label, err)
	}
	list, err := indexjson.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s: reading the index: %w", label, err)
	}
	for _, e := range list.Entries {
		if w.present[e.Digest] {
			continue
		}
		if e.Err != nil {
			return fmt.Errorf("%s: reading the entry for %s: %w", label, e.Digest, e.Err)
		}
		if err := w.entry(index, e.Descriptor, childLabel(label, e.Descriptor)); err != nil {
			return err
		}
	}
	w.Manifests = append(w.Manifests, Manifest{Digest: self.Digest, Size: self.Size, Label: label, Object: index})
	return nil
}

// entry adds what the entry d of index refers to.
func (w *walker) entry(index v1.ImageIndex, d v1.Descriptor, label string) error {
	switch {
	case d.MediaType.IsIndex():
		child, err := index.ImageIndex(d.Digest)
		if err != nil {
			return fmt.Errorf("%s: opening the index: %w", label, err)
		}
		return w.index(child, d, label)
	case d.MediaType.IsImage():
		child, err := index.Image(d.Digest)
		if err != nil {
			return fmt.Errorf("%s: opening the image: %w", label, err)
		}
		return w.image(child, d, label)
	}
	// Anything else is a blob, such as the layers in the index of a BuildKit cache. go-containerregistry opens them
	// through this method.
	others, ok := index.(interface {
		Layer(h v1.Hash) (v1.Layer, error)
	})
	if !ok {
		return fmt.Errorf("%s: %s is neither an image nor an index but %q", label, d.Digest, d.MediaType)
	}
	if w.first(d.Digest) {
		w.Blobs = append(w.Blobs, Blob{d.Digest, d.Size, label, func() (v1.Layer, error) { return others.Layer(d.Digest) }})
	}
	return nil
}

func (w *walker) image(img v1.Image, self v1.Descriptor, label string) error {
	if !w.first(self.Digest) {
		return nil
	}
	m, err := img.Manifest()
	if err != nil {
		return fmt.Errorf("%s: reading the manifest: %w", label, err)
	}
	foreign, blobs := false, []v1.Hash{m.Config.Digest}
	if w.first(m.Config.Digest) {
		w.Blobs = append(w.Blobs, Config(img, m, label))
	}
	for i, d := range m.Layers {
		if !d.MediaType.IsDistributable() {
			foreign = true
			continue
		}
		blobs = append(blobs, d.Digest)
		if w.first(d.Digest) {
			w.Blobs = append(w.Blobs, Layer(img, m, i, label))
		}
	}
	w.Manifests = append(w.Manifests, Manifest{
		Digest: self.Digest, Size: self.Size, Platform: PlatformOf(self), Label: label,
		Blobs: blobs, Foreign: foreign, Object: img,
	})
	return nil
}

// Config returns the config of an image, whose manifest is m and which label names.
func Config(img v1.Image, m *v1.Manifest, label string) Blob {
	return Blob{m.Config.Digest, m.Config.Size, label + ": config", func() (v1.Layer, error) {
		return partial.ConfigLayer(img)
	}}
}

// Layer returns layer i of an image, whose manifest is m and which label names. The first layer is 0.
func Layer(img v1.Image, m *v1.Manifest, i int, label string) Blob {
	d := m.Layers[i]
	return Blob{d.Digest, d.Size, fmt.Sprintf("%s: layer %d", label, i+1), func() (v1.Layer, error) {
		return img.LayerByDigest(d.Digest)
	}}
}

func childLabel(parent string, d v1.Descriptor) string {
	if p := PlatformOf(d); p != (arch.Platform{}) {
		return parent + ", " + p.String()
	}
	return parent + ", " + d.Digest.String()
}
