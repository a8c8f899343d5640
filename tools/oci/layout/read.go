package layout

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// ContainerdNameAnnotation is the annotation with the full reference of an entry. docker save and buildx write it next
// to NameAnnotation.
const ContainerdNameAnnotation = "io.containerd.image.name"

// Reader reads an OCI layout from any file system, such as a directory or an archive. go-containerregistry reads only
// directories, reads files of any length into memory, and fails for digests of unknown algorithms. A Reader does not
// verify content: package verify does.
type Reader struct{ Files fs.FS }

// Open opens a regular file of the layout. Pipes and devices are refused before they are opened, which could block.
func (r Reader) Open(name string) (fs.File, error) {
	info, err := fs.Stat(r.Files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return r.Files.Open(name)
}

// ReadDocument reads a manifest, index or config. It fails for documents that are longer than manifest.Limit.
func (r Reader) ReadDocument(name string) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := manifest.Read(f)
	if err == nil {
		err = manifest.Check(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return raw, nil
}

// Index returns the image index that d describes. It is read when it is used.
func (r Reader) Index(d v1.Descriptor) v1.ImageIndex { return r.index(d) }

// Image returns the image that d describes.
func (r Reader) Image(d v1.Descriptor) (v1.Image, error) {
	return partial.CompressedToImage(&readImage{r, d, r.document(d)})
}

func (r Reader) index(d v1.Descriptor) *readIndex { return &readIndex{r, d, r.document(d)} }

// document returns a function that reads the document of d once.
func (r Reader) document(d v1.Descriptor) func() ([]byte, error) {
	return memo.Func(func() ([]byte, error) { return r.ReadDocument(BlobPath(d.Digest)) })
}

// readIndex is a v1.ImageIndex.
type readIndex struct {
	layout     Reader
	descriptor v1.Descriptor
	raw        func() ([]byte, error)
}

func (i *readIndex) MediaType() (types.MediaType, error) { return i.descriptor.MediaType, nil }
func (i *readIndex) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i *readIndex) Size() (int64, error)                { return partial.Size(i) }
func (i *readIndex) RawManifest() ([]byte, error)        { return i.raw() }

func (i *readIndex) IndexManifest() (*v1.IndexManifest, error) {
	raw, err := i.raw()
	if err != nil {
		return nil, err
	}
	return v1.ParseIndexManifest(bytes.NewReader(raw))
}

func (i *readIndex) Image(h v1.Hash) (v1.Image, error) {
	d, err := i.child(h)
	if err != nil {
		return nil, err
	}
	return i.layout.Image(d)
}

func (i *readIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	d, err := i.child(h)
	if err != nil {
		return nil, err
	}
	return i.layout.index(d), nil
}

// Layer returns a child that is neither an image nor an index, such as those of a BuildKit cache. The remote indexes of
// go-containerregistry have a method of the same name for them.
func (i *readIndex) Layer(h v1.Hash) (v1.Layer, error) {
	d, err := i.child(h)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToLayer(readBlob{i.layout, d})
}

func (i *readIndex) child(h v1.Hash) (v1.Descriptor, error) {
	list, err := i.IndexManifest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	for _, d := range list.Manifests {
		if d.Digest == h {
			return d, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("the index has no entry %s", h)
}

// readImage implements partial.CompressedImageCore.
type readImage struct {
	layout     Reader
	descriptor v1.Descriptor
	raw        func() ([]byte, error)
}

func (i *readImage) MediaType() (types.MediaType, error) { return i.descriptor.MediaType, nil }
func (i *readImage) RawManifest() ([]byte, error)        { return i.raw() }

func (i *readImage) RawConfigFile() ([]byte, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return nil, err
	}
	return i.layout.ReadDocument(BlobPath(m.Config.Digest))
}

func (i *readImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return nil, err
	}
	for _, d := range append(m.Layers, m.Config) {
		if d.Digest == h {
			return readBlob{i.layout, d}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

// readBlob is a layer of a readImage.
type readBlob struct {
	layout     Reader
	descriptor v1.Descriptor
}

func (b readBlob) Digest() (v1.Hash, error)            { return b.descriptor.Digest, nil }
func (b readBlob) Size() (int64, error)                { return b.descriptor.Size, nil }
func (b readBlob) MediaType() (types.MediaType, error) { return b.descriptor.MediaType, nil }

func (b readBlob) Compressed() (io.ReadCloser, error) {
	return b.layout.Open(BlobPath(b.descriptor.Digest))
}
