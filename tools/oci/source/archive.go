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
	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// archiveLimit bounds the number of files in an archive of images. Real archives have a few files per layer.
const archiveLimit = 100_000

// archive implements fs.FS on a tar file. Regular files are read in place, so that nothing is unpacked.
type archive struct {
	file *os.File
	name string // the path of the archive, which file may be a decompressed copy of
	// spans locates the regular files by name.
	spans map[string]span
	// links has the targets of symbolic and hard links: older Docker clients share layers with them.
	links map[string]string
}

type span struct{ start, length int64 }

// openArchive lists the images of the archive at file, which may be compressed. read is one of the methods below.
func openArchive(ctx context.Context, file string, read func(*archive) (*collection, error)) (*collection, error) {
	f, closeFile, err := openDecompressed(ctx, file)
	if err != nil {
		return nil, err
	}
	a := &archive{file: f, name: file, spans: map[string]span{}, links: map[string]string{}}
	err = a.scan()
	if err == nil {
		var c *collection
		if c, err = read(a); err == nil {
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
			return fmt.Errorf("%s has more than %d files and is not an archive of images", a.name, archiveLimit)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		switch h.Typeflag {
		case tar.TypeReg:
			if blob.IsSparse(h) {
				continue // its content is not contiguous; no tool writes these
			}
			// The reader reads whole blocks only, so the content of the file begins here.
			start, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			a.spans[name] = span{start, h.Size}
		case tar.TypeSymlink:
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(h.Linkname)
		}
	}
}

// Open implements fs.FS. It follows links.
func (a *archive) Open(name string) (fs.File, error) {
	at := name
	for hops := 0; hops < 10; hops++ {
		if s, ok := a.spans[at]; ok {
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

// archiveFile is an fs.File that is also its own fs.FileInfo.
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

// readLayout lists the images of an OCI archive.
func (a *archive) readLayout() (*collection, error) {
	c, err := readLayout(a, a.name)
	if err == nil {
		c.sparse = a.has(dockerManifest) // written by docker save
	}
	return c, err
}

// dockerManifest lists the images of a docker archive.
const dockerManifest = "manifest.json"

// readDocker lists the images of a docker archive. They are stored without manifests. The generated ones have gzipped
// layers, so their digests differ from those in a registry.
func (a *archive) readDocker() (*collection, error) {
	raw, err := layout.Reader{Files: a}.ReadDocument(dockerManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a docker archive: it has no file %s", a.name, dockerManifest)
	}
	if err != nil {
		return nil, err
	}
	var images tarball.Manifest
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("reading %s: %w", dockerManifest, err)
	}
	c := &collection{place: a.name}
	for _, image := range images {
		id := "sha256:" + strings.TrimPrefix(strings.TrimSuffix(path.Base(image.Config), ".json"), "sha256:")
		c.entries = append(c.entries, entry{
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
		return nil, fmt.Errorf("the image has %d layers, more than the %d that runtimes accept", len(image.Layers),
			layerLimit)
	}
	// go-containerregistry reads the config into memory without a limit.
	if _, err := (layout.Reader{Files: a}).ReadDocument(path.Clean(image.Config)); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	info, err := a.file.Stat()
	if err != nil {
		return nil, err
	}
	// tarball selects images by tag, and images may have none: give it a manifest.json with only this image.
	only, err := manifestWithOnly(image)
	if err != nil {
		return nil, err
	}
	img, err := tarball.Image(func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(only), io.NewSectionReader(a.file, 0, info.Size()))), nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return newImage(img)
}

// manifestWithOnly returns the beginning of a tar with a manifest.json that lists one image.
func manifestWithOnly(image tarball.Descriptor) ([]byte, error) {
	raw, err := json.Marshal(tarball.Manifest{image})
	if err != nil {
		return nil, err
	}
	var start bytes.Buffer
	w := tar.NewWriter(&start)
	if err := w.WriteHeader(&tar.Header{
		Name:     dockerManifest,
		Typeflag: tar.TypeReg,
		Mode:     0o644,
		Size:     int64(len(raw)),
	}); err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	err = w.Flush()
	return start.Bytes(), err
}

// sameTag compares tags as Docker does: docker.io and :latest are the defaults.
func sameTag(a, b string) bool {
	x, err1 := name.NewTag(a)
	y, err2 := name.NewTag(b)
	return err1 == nil && err2 == nil && x.Name() == y.Name()
}

// readAny lists the images of an archive of either kind. docker save writes both; the OCI layout has the digests of the
// registry.
func (a *archive) readAny() (*collection, error) {
	switch {
	case a.has(layout.MarkerFile):
		return a.readLayout()
	case a.has(dockerManifest):
		return a.readDocker()
	}
	return nil, fmt.Errorf("%s is not an archive of images: it has neither %s nor %s", a.name, layout.MarkerFile,
		dockerManifest)
}

func (a *archive) has(name string) bool {
	_, ok := a.spans[name]
	return ok
}
