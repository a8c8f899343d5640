package inspect

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// archiveLimit is how many files an archive of images may have. Real ones have a few for every layer.
const archiveLimit = 100_000

// archive is a tar file as a read-only file system: fs.FS. Regular files are read where they stand in the tar, so
// nothing is unpacked and an archive costs no space.
type archive struct {
	file *os.File
	// where has the place and length in bytes of every regular file, by its name.
	where map[string]span
	// links has what symbolic and hard links point to: docker archives of older clients share layers that way.
	links map[string]string
}

type span struct{ start, length int64 }

// openArchive opens the image called name of the archive at file, which is read as one of the methods below does.
func openArchive(file, name string, as func(a *archive, name string) (*Source, error)) (*Source, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	a := &archive{file: f, where: map[string]span{}, links: map[string]string{}}
	err = a.scan()
	if err == nil {
		var s *Source
		if s, err = as(a, name); err == nil {
			s.close = f.Close
			return s, nil
		}
	}
	return nil, errors.Join(err, f.Close())
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
			return fmt.Errorf("reading %s as a tar archive: %w", a.file.Name(), err)
		}
		if n == archiveLimit {
			return fmt.Errorf("%s holds more than %d files: no archive of images", a.file.Name(), archiveLimit)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		switch h.Typeflag {
		case tar.TypeReg:
			if sparse(h) {
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

// sparse tells whether a file's bytes do not stand together in the archive.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
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

// asLayout opens an image of an OCI archive.
func (a *archive) asLayout(name string) (*Source, error) { return openLayout(a, a.file.Name(), name) }

// asDocker opens an image of a docker archive. It has no manifest of its own: one is made up, with gzipped layers, so
// its digest says nothing about the image's digest in a registry.
func (a *archive) asDocker(tag string) (*Source, error) {
	l := layout{a}
	raw, err := l.read("manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a docker archive: it has no file manifest.json", a.file.Name())
	}
	if err != nil {
		return nil, err
	}
	var list tarball.Manifest
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w", err)
	}
	chosen, selector, err := a.choose(list, tag)
	if err != nil {
		return nil, err
	}
	if len(chosen.Layers) > layerLimit {
		return nil, fmt.Errorf("the image has %d layers, and no runtime takes more than %d", len(chosen.Layers), layerLimit)
	}
	// go-containerregistry reads the config into memory whatever its size.
	if _, err := l.read(path.Clean(chosen.Config)); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	info, err := a.file.Stat()
	if err != nil {
		return nil, err
	}
	img, err := tarball.Image(func() (io.ReadCloser, error) {
		return &archiveFile{*io.NewSectionReader(a.file, 0, info.Size()), a.file.Name()}, nil
	}, selector)
	if err != nil {
		return nil, err
	}
	return of(img)
}

// choose finds the image with a tag, or the only one there is where tag is "", and what tarball.Image has to be told
// to find the same one.
func (a *archive) choose(list tarball.Manifest, tag string) (tarball.Descriptor, *name.Tag, error) {
	var known []string
	for _, image := range list {
		known = append(known, image.RepoTags...)
		if tag == "" && len(list) == 1 {
			return image, nil, nil
		}
		for _, t := range image.RepoTags {
			if selector, ok := sameTag(t, tag); ok {
				return image, selector, nil
			}
		}
	}
	return tarball.Descriptor{}, nil, &EntryError{a.file.Name(), tag, known}
}

// sameTag compares tags as docker does: with docker.io and :latest where they are left out.
func sameTag(a, b string) (*name.Tag, bool) {
	x, err1 := name.NewTag(a)
	y, err2 := name.NewTag(b)
	return &x, err1 == nil && err2 == nil && x.Name() == y.Name()
}

// byContent opens an archive of either kind. What docker save writes today is both; as an OCI layout it has the
// digests of the registry.
func (a *archive) byContent(name string) (*Source, error) {
	switch {
	case a.has("oci-layout"):
		return a.asLayout(name)
	case a.has("manifest.json"):
		return a.asDocker(name)
	}
	return nil, fmt.Errorf("%s is no archive of images: it has neither oci-layout nor manifest.json", a.file.Name())
}

func (a *archive) has(name string) bool {
	_, ok := a.where[name]
	return ok
}
