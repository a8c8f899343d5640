package publish

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// content is all that an image consists of, each digest once. Nothing in it has been opened.
type content struct {
	// manifests has every manifest before the index that lists it.
	manifests []manifest
	// blobs are the configs and layers.
	blobs []blob
}

// manifest is an image manifest or an index.
type manifest struct {
	digest v1.Hash
	size   int64
	// platform is zero for an index.
	platform arch.Platform
	where    string
	// blobs are what an image consists of, none for an index.
	blobs []v1.Hash
	// foreign is that it has layers which are fetched from elsewhere by their URLs.
	foreign bool
	remote.Taggable
}

// blob is a config or a layer.
type blob struct {
	digest v1.Hash
	size   int64
	// where says in messages whose blob it is: hello, linux/arm64: layer 2.
	where string
	layer func() (v1.Layer, error)
}

// file is a manifest or blob as the file that it is in a layout.
type file struct {
	digest v1.Hash
	size   int64
	where  string
	open   func() (io.ReadCloser, error)
}

// contentOf lists what image consists of. Layers that are fetched from elsewhere by their URL (non-distributable
// ones; image spec, "Non-Distributable Layers") are no part of it.
func contentOf(image Image) (content, error) {
	w := walk{seen: map[v1.Hash]bool{}, present: image.Present}
	d, err := describe(image.Index, image.Name)
	if err != nil {
		return content{}, err
	}
	err = w.index(image.Index, d, image.Name)
	return w.content, err
}

// contentOfChild is contentOf for the image of one platform, and returns its descriptor as well.
func contentOfChild(img v1.Image, image string, p arch.Platform) (content, v1.Descriptor, error) {
	w := walk{seen: map[v1.Hash]bool{}}
	where := image + ", " + p.String()
	d, err := describe(img, where)
	if err != nil {
		return content{}, d, err
	}
	d.Platform = &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
	err = w.image(img, d, where)
	return w.content, d, err
}

// describe returns the media type, digest and size of an index or image manifest, and nothing that the library adds.
func describe(m partial.Describable, where string) (v1.Descriptor, error) {
	mediaType, err1 := m.MediaType()
	digest, err2 := m.Digest()
	size, err3 := m.Size()
	if err := errors.Join(err1, err2, err3); err != nil {
		return v1.Descriptor{}, fmt.Errorf("%s: describing it: %w", where, err)
	}
	return v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size}, nil
}

// files is c as files, blobs first: the order in which they can be written.
func (c content) files() []file {
	files := make([]file, 0, len(c.blobs)+len(c.manifests))
	for _, b := range c.blobs {
		files = append(files, b.file())
	}
	for _, m := range c.manifests {
		files = append(files, file{m.digest, m.size, m.where, m.open})
	}
	return files
}

func (m manifest) index() bool { _, ok := m.Taggable.(v1.ImageIndex); return ok }

func (m manifest) open() (io.ReadCloser, error) {
	raw, err := m.RawManifest()
	return io.NopCloser(bytes.NewReader(raw)), err
}

func (b blob) file() file { return file{b.digest, b.size, b.where, b.open} }

func (b blob) open() (io.ReadCloser, error) {
	layer, err := b.layer()
	if err != nil {
		return nil, err
	}
	return layer.Compressed()
}

type walk struct {
	content
	seen    map[v1.Hash]bool
	present map[string]bool // entries of indexes that are left alone
}

// once tells whether h is met for the first time.
func (w *walk) once(h v1.Hash) bool {
	first := !w.seen[h]
	w.seen[h] = true
	return first
}

func (w *walk) index(index v1.ImageIndex, self v1.Descriptor, where string) error {
	if !w.once(self.Digest) {
		return nil
	}
	raw, err := index.RawManifest()
	if err != nil {
		return fmt.Errorf("%s: reading the index: %w", where, err)
	}
	list, err := indexjson.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s: reading the index: %w", where, err)
	}
	for _, e := range list.Entries {
		if w.present[e.Digest] {
			continue
		}
		if e.Err != nil {
			return fmt.Errorf("%s: reading the entry for %s: %w", where, e.Digest, e.Err)
		}
		if err := w.child(index, e.Descriptor, childName(where, e.Descriptor)); err != nil {
			return err
		}
	}
	w.manifests = append(w.manifests, manifest{self.Digest, self.Size, arch.Platform{}, where, nil, false, index})
	return nil
}

// child adds the entry d of index.
func (w *walk) child(index v1.ImageIndex, d v1.Descriptor, where string) error {
	switch {
	case d.MediaType.IsIndex():
		child, err := index.ImageIndex(d.Digest)
		if err != nil {
			return fmt.Errorf("%s: opening the index: %w", where, err)
		}
		return w.index(child, d, where)
	case d.MediaType.IsImage():
		child, err := index.Image(d.Digest)
		if err != nil {
			return fmt.Errorf("%s: opening the image: %w", where, err)
		}
		return w.image(child, d, where)
	}
	// Other things are blobs, such as the layers in the index of a BuildKit cache. This is how go-containerregistry opens
	// them.
	others, ok := index.(interface {
		Layer(h v1.Hash) (v1.Layer, error)
	})
	if !ok {
		return fmt.Errorf("%s: %s is neither an image nor an index but %q", where, d.Digest, d.MediaType)
	}
	if w.once(d.Digest) {
		w.blobs = append(w.blobs, blob{d.Digest, d.Size, where, func() (v1.Layer, error) { return others.Layer(d.Digest) }})
	}
	return nil
}

func (w *walk) image(img v1.Image, self v1.Descriptor, where string) error {
	if !w.once(self.Digest) {
		return nil
	}
	m, err := img.Manifest()
	if err != nil {
		return fmt.Errorf("%s: reading the manifest: %w", where, err)
	}
	foreign, blobs := false, []v1.Hash{m.Config.Digest}
	if w.once(m.Config.Digest) {
		w.blobs = append(w.blobs, configOf(img, m, where))
	}
	for i, d := range m.Layers {
		if !d.MediaType.IsDistributable() {
			foreign = true
			continue
		}
		blobs = append(blobs, d.Digest)
		if w.once(d.Digest) {
			w.blobs = append(w.blobs, layerOf(img, m, i, where))
		}
	}
	w.manifests = append(w.manifests, manifest{self.Digest, self.Size, platformOf(self), where, blobs, foreign, img})
	return nil
}

func configOf(img v1.Image, m *v1.Manifest, where string) blob {
	return blob{m.Config.Digest, m.Config.Size, where + ": config", func() (v1.Layer, error) {
		return partial.ConfigLayer(img)
	}}
}

func layerOf(img v1.Image, m *v1.Manifest, i int, where string) blob {
	d := m.Layers[i]
	return blob{d.Digest, d.Size, fmt.Sprintf("%s: layer %d", where, i+1), func() (v1.Layer, error) {
		return img.LayerByDigest(d.Digest)
	}}
}

func childName(parent string, d v1.Descriptor) string {
	if p := platformOf(d); p != (arch.Platform{}) {
		return parent + ", " + p.String()
	}
	return parent + ", " + d.Digest.String()
}
