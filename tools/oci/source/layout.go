package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// The annotations of index.json that name an entry: the one of the image spec ("Pre-Defined Annotation Keys"), and the
// full reference that docker save and buildx write next to it.
const (
	refName        = "org.opencontainers.image.ref.name"
	containerdName = "io.containerd.image.name"
)

// readLayout lists the OCI layout in files, which messages call place. go-containerregistry reads layouts too, but only
// from directories, whole files into memory however long they are, and none with a digest that it does not know.
func readLayout(files fs.FS, place string) (*collection, error) {
	l := layout{files}
	if _, err := fs.Stat(files, "oci-layout"); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is not an OCI layout: it has no file oci-layout", place)
		}
		return nil, err
	}
	raw, err := l.read("index.json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: reading index.json: %w", place, err)
	}
	c := &collection{place: place}
	for _, entry := range list.Manifests {
		c.entries = append(c.entries, l.item(entry))
	}
	return c, nil
}

// OpenBlobs opens the image or index that root describes. Its blobs are in files, under the names of an OCI layout. name
// is for messages.
func OpenBlobs(files fs.FS, root v1.Descriptor, name string) (*Source, error) {
	s, err := sourceOf(layout{files}, root)
	if err != nil {
		return nil, err
	}
	s.Name = name
	return s, nil
}

// item reads an entry of index.json. If it cannot be understood, that is an error for those who name it only.
func (l layout) item(raw json.RawMessage) item {
	var d v1.Descriptor
	err := json.Unmarshal(raw, &d)
	var plain struct {
		Digest      string            `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	}
	_ = json.Unmarshal(raw, &plain) // whatever can be read of it
	e := item{id: plain.Digest, auxiliary: err != nil || !isImage(d)}
	for _, n := range []string{plain.Annotations[refName], plain.Annotations[containerdName]} {
		if n != "" && !slices.Contains(e.names, n) {
			e.names = append(e.names, n)
		}
	}
	e.matches = func(name string) bool { return slices.Contains(e.names, name) || name == e.id }
	e.open = func() (*Source, error) {
		if err != nil {
			return nil, fmt.Errorf("reading its entry in index.json: %w", err)
		}
		return sourceOf(l, d)
	}
	return e
}

// isImage reports whether a descriptor is for an image or an index of images, and not for an attestation, a signature or
// another artifact.
func isImage(d v1.Descriptor) bool {
	artifact := d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig()
	return (d.MediaType.IsImage() || d.MediaType.IsIndex()) && !artifact && newChild(d, nil).AttestationOf == ""
}

// layout is the files of an OCI layout. Nothing that is read from it is checked: that is what Verify is for.
type layout struct{ files fs.FS }

func (l layout) open(name string) (fs.File, error) {
	// A pipe or device would keep us waiting as soon as it is opened.
	info, err := fs.Stat(l.files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return l.files.Open(name)
}

func (l layout) read(name string) ([]byte, error) {
	f, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := readAll(f)
	if err == nil {
		err = manifest.Check(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return raw, nil
}

// readAll reads a manifest or config, and no more than those may have.
func readAll(r io.Reader) ([]byte, error) {
	return manifest.Read(r)
}

func blobPath(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

func (l layout) index(d v1.Descriptor) *layoutIndex {
	return &layoutIndex{l, d, memo.Func(func() ([]byte, error) { return l.read(blobPath(d.Digest)) })}
}

func (l layout) image(d v1.Descriptor) (v1.Image, error) {
	return partial.CompressedToImage(&layoutImage{
		l, d, memo.Func(func() ([]byte, error) { return l.read(blobPath(d.Digest)) }),
	})
}

// layoutIndex is a v1.ImageIndex.
type layoutIndex struct {
	layout
	self v1.Descriptor
	raw  func() ([]byte, error)
}

func (i *layoutIndex) MediaType() (types.MediaType, error) { return i.self.MediaType, nil }
func (i *layoutIndex) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i *layoutIndex) Size() (int64, error)                { return partial.Size(i) }
func (i *layoutIndex) RawManifest() ([]byte, error)        { return i.raw() }

func (i *layoutIndex) IndexManifest() (*v1.IndexManifest, error) {
	raw, err := i.raw()
	if err != nil {
		return nil, err
	}
	return v1.ParseIndexManifest(bytes.NewReader(raw))
}

func (i *layoutIndex) Image(h v1.Hash) (v1.Image, error) {
	d, err := i.child(h)
	if err != nil {
		return nil, err
	}
	return i.layout.image(d)
}

func (i *layoutIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	d, err := i.child(h)
	if err != nil {
		return nil, err
	}
	return i.layout.index(d), nil
}

// Layer returns a child that is neither an image nor an index, such as those of a BuildKit cache. The name is that of the
// method by which go-containerregistry's remote indexes return them.
func (i *layoutIndex) Layer(h v1.Hash) (v1.Layer, error) {
	d, err := i.child(h)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToLayer(layoutBlob{i.layout, d})
}

func (i *layoutIndex) child(h v1.Hash) (v1.Descriptor, error) {
	list, err := i.IndexManifest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	for _, d := range list.Manifests {
		if d.Digest == h {
			return d, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("the index lists no %s", h)
}

// layoutImage is what go-containerregistry makes a v1.Image of.
type layoutImage struct {
	layout
	self v1.Descriptor
	raw  func() ([]byte, error)
}

func (i *layoutImage) MediaType() (types.MediaType, error) { return i.self.MediaType, nil }
func (i *layoutImage) RawManifest() ([]byte, error)        { return i.raw() }

func (i *layoutImage) RawConfigFile() ([]byte, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return nil, err
	}
	return i.read(blobPath(m.Config.Digest))
}

func (i *layoutImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return nil, err
	}
	for _, d := range append(m.Layers, m.Config) {
		if d.Digest == h {
			return layoutBlob{i.layout, d}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

// layoutBlob is a layer as go-containerregistry sees it.
type layoutBlob struct {
	layout
	self v1.Descriptor
}

func (b layoutBlob) Digest() (v1.Hash, error)            { return b.self.Digest, nil }
func (b layoutBlob) Size() (int64, error)                { return b.self.Size, nil }
func (b layoutBlob) MediaType() (types.MediaType, error) { return b.self.MediaType, nil }
func (b layoutBlob) Compressed() (io.ReadCloser, error)  { return b.open(blobPath(b.self.Digest)) }

// InLayout reports whether the OCI layout in dir has an entry called name.
func InLayout(dir, name string) bool {
	c, err := readRooted(dir)
	if err != nil {
		return false
	}
	_, err = c.find(name)
	return err == nil
}
