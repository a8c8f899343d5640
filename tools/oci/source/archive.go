package source

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// archiveLimit is how many files an archive of images may have. Real ones have a few for every layer.
const archiveLimit = 100_000

// archive is a tar file as a read-only file system: fs.FS. Regular files are read where they stand in the tar, so
// nothing is unpacked and an archive costs no space.
type archive struct {
	file *os.File
	name string // of the file that was asked for
	// where has the place and length in bytes of every regular file, by its name.
	where map[string]span
	// links has what symbolic and hard links point to: docker archives of older clients share layers that way.
	links map[string]string
}

type span struct{ start, length int64 }

// openArchive lists the images of the archive at file, which may be compressed. It is read as one of the methods below
// does.
func openArchive(ctx context.Context, file string, as func(*archive) (*collection, error)) (*collection, error) {
	f, closeFile, err := openPlain(ctx, file)
	if err != nil {
		return nil, err
	}
	a := &archive{file: f, name: file, where: map[string]span{}, links: map[string]string{}}
	err = a.scan()
	if err == nil {
		var c *collection
		if c, err = as(a); err == nil {
			c.close = closeFile
			return c, nil
		}
	}
	return nil, errors.Join(err, closeFile())
}

// scan reads the headers of the tar.
func (a *archive) scan() error {
	r := tar.NewReader(a.file)
	for n := 0; ; n++ {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s as a tar archive: %w", a.name, err)
		}
		if n == archiveLimit {
			return fmt.Errorf("%s holds more than %d files: no archive of images", a.name, archiveLimit)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		switch h.Typeflag {
		case tar.TypeReg:
			if blob.IsSparse(h) {
				continue // its bytes do not stand together; nobody writes these
			}
			// The reader takes whole blocks and no more: the file's content begins where it has stopped.
			start, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			a.where[name] = span{start, h.Size}
		case tar.TypeSymlink:
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(h.Linkname)
		}
	}
}

// Open opens a regular file, or what a link leads to.
func (a *archive) Open(name string) (fs.File, error) {
	at := name
	for hops := 0; hops < 10; hops++ {
		if s, ok := a.where[at]; ok {
			return &archiveFile{*io.NewSectionReader(a.file, s.start, s.length), path.Base(name)}, nil
		}
		next, ok := a.links[at]
		if !ok {
			break
		}
		at = next
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// archiveFile is a file of an archive, with its own description.
type archiveFile struct {
	io.SectionReader
	name string
}

func (f *archiveFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *archiveFile) Close() error               { return nil }
func (f *archiveFile) Name() string               { return f.name }
func (f *archiveFile) Mode() fs.FileMode          { return 0o444 }
func (f *archiveFile) ModTime() time.Time         { return time.Time{} }
func (f *archiveFile) IsDir() bool                { return false }
func (f *archiveFile) Sys() any                   { return nil }

// asLayout lists an OCI archive.
func (a *archive) asLayout() (*collection, error) {
	c, err := readLayout(a, a.name)
	if err == nil {
		c.sparse = a.has("manifest.json") // docker save
	}
	return c, err
}

// asDocker lists a docker archive. Its images have no manifests of their own: these are made up, with gzipped layers, so
// that their digests say nothing about digests in a registry.
func (a *archive) asDocker() (*collection, error) {
	raw, err := layout{a}.read("manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a docker archive: it has no file manifest.json", a.name)
	}
	if err != nil {
		return nil, err
	}
	var images tarball.Manifest
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w", err)
	}
	c := &collection{place: a.name}
	for _, image := range images {
		id := "sha256:" + strings.TrimPrefix(strings.TrimSuffix(path.Base(image.Config), ".json"), "sha256:")
		c.entries = append(c.entries, item{
			names: image.RepoTags,
			id:    id,
			matches: func(name string) bool {
				return name == id || slices.ContainsFunc(image.RepoTags, func(t string) bool { return sameTag(t, name) })
			},
			open: func() (*Source, error) { return a.dockerImage(image) },
		})
	}
	return c, nil
}

// dockerImage opens one image of a docker archive.
func (a *archive) dockerImage(image tarball.Descriptor) (*Source, error) {
	if len(image.Layers) > layerLimit {
		return nil, fmt.Errorf("the image has %d layers, and no runtime takes more than %d", len(image.Layers), layerLimit)
	}
	// go-containerregistry reads the config into memory whatever its size.
	if _, err := (layout{a}).read(path.Clean(image.Config)); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	info, err := a.file.Stat()
	if err != nil {
		return nil, err
	}
	// It chooses images by their tags only, and they need not have any: it is shown a manifest.json with this one alone.
	only, err := onlyManifest(image)
	if err != nil {
		return nil, err
	}
	img, err := tarball.Image(func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(only), io.NewSectionReader(a.file, 0, info.Size()))), nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return of(img)
}

// onlyManifest is a tar without an end, of a manifest.json that lists one image.
func onlyManifest(image tarball.Descriptor) ([]byte, error) {
	raw, err := json.Marshal(tarball.Manifest{image})
	if err != nil {
		return nil, err
	}
	var start bytes.Buffer
	w := tar.NewWriter(&start)
	if err := w.WriteHeader(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(raw))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	err = w.Flush()
	return start.Bytes(), err
}

// sameTag compares tags as docker does: with docker.io and :latest where they are left out.
func sameTag(a, b string) bool {
	x, err1 := name.NewTag(a)
	y, err2 := name.NewTag(b)
	return err1 == nil && err2 == nil && x.Name() == y.Name()
}

// byContent opens an archive of either kind. What docker save writes today is both; as an OCI layout it has the
// digests of the registry.
func (a *archive) byContent() (*collection, error) {
	switch {
	case a.has("oci-layout"):
		return a.asLayout()
	case a.has("manifest.json"):
		return a.asDocker()
	}
	return nil, fmt.Errorf("%s is no archive of images: it has neither oci-layout nor manifest.json", a.name)
}

func (a *archive) has(name string) bool {
	_, ok := a.where[name]
	return ok
}
