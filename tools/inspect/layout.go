package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/memo"
)

// metadataLimit is how long a manifest, index or config may be. Registries and runtimes take 4 MiB (distribution spec,
// "Pushing Manifests"); what is longer is not read into memory.
const metadataLimit = 8 << 20

// The annotations of index.json that name an entry: the one of the image spec ("Pre-Defined Annotation Keys"), and the
// full reference that docker save and buildx write next to it.
const (
	refName        = "org.opencontainers.image.ref.name"
	containerdName = "io.containerd.image.name"
)

// openLayout opens the entry called name, or the only one there is where name is "", of the OCI layout in files. It is
// called place in messages. go-containerregistry reads layouts too, but only from directories, and whole files into
// memory however long they are.
func openLayout(files fs.FS, place, name string) (*Source, error) {
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
	var list v1.IndexManifest
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: reading index.json: %w", place, err)
	}
	d, err := pick(list.Manifests, place, name)
	if err != nil {
		return nil, err
	}
	s := &Source{Root: d}
	switch {
	case d.MediaType.IsIndex():
		s.Index = l.index(d)
	case d.MediaType.IsImage():
		s.Image, err = l.image(d)
	default:
		err = &KindError{d.MediaType}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// pick finds the entry called name.
func pick(entries []v1.Descriptor, place, name string) (v1.Descriptor, error) {
	var found []v1.Descriptor
	var known []string
	for _, d := range entries {
		names := []string{d.Annotations[refName], d.Annotations[containerdName], d.Digest.String()}
		for i, n := range names {
			if n != "" && n == name || name == "" && i == 0 {
				found = append(found, d)
				break
			}
		}
		for _, n := range names {
			if n != "" {
				known = append(known, n)
				break
			}
		}
	}
	switch {
	case len(found) == 0, len(found) > 1 && name == "":
		return v1.Descriptor{}, &EntryError{place, name, known}
	case len(found) > 1 && found[0].Digest != found[1].Digest:
		return v1.Descriptor{}, fmt.Errorf("%s holds %d images called %q; one of them can be named by its digest, as in %s",
			place, len(found), name, found[0].Digest)
	}
	return found[0], nil
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
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return raw, nil
}

// readAll reads a manifest or config, and no more than those may have.
func readAll(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, metadataLimit+1))
	if err == nil && len(raw) > metadataLimit {
		err = fmt.Errorf("longer than the %d bytes a manifest or config may have", metadataLimit)
	}
	return raw, err
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
