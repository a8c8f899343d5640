// Package source opens the images and image indexes that a reference names: in a registry, an OCI layout, an OCI
// archive or the output of docker save. Content is read lazily and is not trusted: what a Source returns may be damaged
// or hostile, and size limits bound what is read into memory.
package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Source is an image index or an image, wherever it is. Exactly one of Index and Image is set. What has not been read
// yet is read when it is asked for.
type Source struct {
	// Name is the reference that it was opened by.
	Name string
	// Root describes the manifest of the index or image: media type, digest and size, and its platform where the place
	// it was found at says one.
	Root  v1.Descriptor
	Index v1.ImageIndex
	Image v1.Image

	// remote is set where the bytes come over a network: then a stream that breaks off may be the network's fault.
	remote bool
	sparse bool
	close  func() error
}

// Close releases the file of an archive. What is read of the source afterwards may fail.
func (s *Source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Remote tells whether the source is in a registry.
func (s *Source) Remote() bool { return s.remote }

// Sparse reports whether the source lists more images than there are, which is not an error: docker save writes whole
// indexes, but only the images of a platform.
func (s *Source) Sparse() bool { return s.sparse }

// The forms of a reference, as skopeo and the other tools around containers/image write them (containers-transports(5)).
const (
	layoutForm        = "oci:"
	ociArchiveForm    = "oci-archive:"
	dockerArchiveForm = "docker-archive:"
)

// linkedForm is layoutForm for layouts whose files are links to other directories, as in the sandboxes of Bazel.
const linkedForm = "oci-linked:"

// Open finds what ref names:
//
//	oci:DIR[:NAME]              an OCI layout; NAME is an entry's org.opencontainers.image.ref.name, or its digest
//	oci-linked:DIR[:NAME]       an OCI layout, of which symbolic links may lead out
//	oci-archive:FILE[:NAME]     a tar of an OCI layout
//	docker-archive:FILE[:NAME]  what docker save writes; NAME is one of its tags
//	FILE.tar, or a path         either kind of archive; a path begins with /, ./ or ../
//	anything else               a reference to a registry, which is reached as c says
//
// Archives may be compressed with gzip or zstd. NAME can be left out if there is only one image; *EntryError lists them
// otherwise. What no registry has is an *UnavailableError, a file or folder that is not there or is something else a
// *PlaceError. ctx also governs what is read from a registry later on. The caller closes the source.
func Open(ctx context.Context, c registry.Client, ref string) (*Source, error) {
	p, err := find(ctx, c, ref)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", ref, err)
	}
	s := p.source
	if s == nil {
		if s, err = p.all.one(p.name); err != nil {
			return nil, fmt.Errorf("opening %s: %w", ref, err)
		}
	}
	s.Name = ref
	return s, nil
}

// OpenAll is Open for references to layouts and archives that may leave out NAME: it opens every image in them, each
// digest once. Their names are references by which Open finds them.
func OpenAll(ctx context.Context, c registry.Client, ref string) ([]*Source, error) {
	p, err := find(ctx, c, ref)
	if err == nil && p.source != nil {
		p.source.Name = ref
		return []*Source{p.source}, nil
	}
	var entries []item
	if err == nil {
		if entries, err = p.all.find(p.name); err == nil && p.name != "" && len(entries) > 1 {
			err = p.all.ambiguous(p.name, entries)
		}
		if err != nil {
			err = errors.Join(err, p.all.release())
		}
	}
	var sources []*Source
	if err == nil {
		sources, err = p.all.open(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", ref, err)
	}
	for i, s := range sources {
		if s.Name = ref; len(sources) > 1 {
			s.Name = p.form + p.all.place + ":" + entries[i].label()
		}
	}
	return sources, nil
}

// found is what a reference leads to: a source in a registry, or a layout or archive and the name of an entry in it.
type found struct {
	source     *Source
	all        *collection
	form, name string
}

func find(ctx context.Context, c registry.Client, ref string) (found, error) {
	for form, in := range map[string]func(place string) (*collection, error){
		layoutForm:        readRooted,
		linkedForm:        func(dir string) (*collection, error) { return readLayout(os.DirFS(dir), dir) },
		ociArchiveForm:    func(file string) (*collection, error) { return openArchive(ctx, file, (*archive).asLayout) },
		dockerArchiveForm: func(file string) (*collection, error) { return openArchive(ctx, file, (*archive).asDocker) },
	} {
		if given, ok := strings.CutPrefix(ref, form); ok {
			place, name, _ := strings.Cut(given, ":")
			if place == "" {
				return found{}, &PlaceError{what: "a path is required after " + form, hint: "such as oci:dist:hello, oci-archive:images.tar:hello, docker-archive:image.tar"}
			}
			all, err := in(place)
			return found{all: all, form: form, name: name}, err
		}
	}
	return findBare(ctx, c, ref)
}

// archiveSuffixes are those of archives that can be named without saying that they are archives.
var archiveSuffixes = []string{".tar", ".tgz", ".tar.gz", ".tar.zst"}

// IsArchive reports whether ref has the name of an archive.
func IsArchive(ref string) bool {
	return slices.ContainsFunc(archiveSuffixes, func(suffix string) bool { return strings.HasSuffix(ref, suffix) })
}

// findBare finds a reference that does not say of which kind it is. What can only be meant for a file or folder is never
// looked up in a registry.
func findBare(ctx context.Context, c registry.Client, ref string) (found, error) {
	isPath := filepath.IsAbs(ref) || strings.HasPrefix(ref, "./") || strings.HasPrefix(ref, "../")
	isFile := isPath || IsArchive(ref)
	info, err := os.Stat(ref)
	switch {
	case err != nil && !isFile:
		return openRemote(ctx, c, ref, "")
	case errors.Is(err, fs.ErrNotExist):
		return found{}, &PlaceError{what: ref + " does not exist", absent: true}
	case err != nil:
		return found{}, err
	case !info.IsDir() && isFile: // whether it can be read is found out by opening it
		form := ociArchiveForm
		all, err := openArchive(ctx, ref, func(a *archive) (*collection, error) {
			if !a.has("oci-layout") {
				form = dockerArchiveForm
			}
			return a.byContent()
		})
		return found{all: all, form: form}, err
	}
	if known, ok := layoutNames(ref); ok {
		name := "NAME"
		if len(known) == 1 {
			name = known[0]
		}
		return found{}, &PlaceError{what: ref + " is an OCI layout", hint: fmt.Sprintf("did you mean %s%s:%s? it holds %s", layoutForm, ref, name, cmp.Or(strings.Join(known, ", "), "no image"))}
	}
	what := "is a folder here, and no OCI layout"
	if !info.IsDir() {
		what = "is a file here, and no archive by its name: those end in .tar"
	}
	if isPath {
		return found{}, &PlaceError{what: ref + " " + what, hint: "name an OCI layout as oci:DIR:NAME, or an archive"}
	}
	return openRemote(ctx, c, ref, ref+" "+what)
}

// layoutNames are those of the entries of an OCI layout; false if dir is none.
func layoutNames(dir string) ([]string, bool) {
	files, err := openRooted(dir)
	if err != nil {
		return nil, false
	}
	if _, err := fs.Stat(files, "oci-layout"); err != nil {
		return nil, false
	}
	c, err := readLayout(files, dir)
	if err != nil {
		return nil, true
	}
	return c.known(), true
}

// openRemote opens what a registry has. namesake says what stands here under the same name, "" where nothing does.
func openRemote(ctx context.Context, c registry.Client, ref, namesake string) (found, error) {
	r, err := c.Parse(ref)
	if err != nil {
		return found{}, err
	}
	got, err := remote.Get(r, c.Options(ctx)...)
	if err != nil {
		return found{}, &UnavailableError{err, namesake}
	}
	s := &Source{Root: v1.Descriptor{MediaType: got.MediaType, Digest: got.Digest, Size: got.Size}, remote: true}
	switch {
	case got.MediaType.IsIndex():
		s.Index, err = got.ImageIndex()
	case got.MediaType.IsImage():
		s.Image, err = got.Image()
	default:
		err = &KindError{got.MediaType}
	}
	return found{source: s}, err
}

// of makes a source of an image that describes itself.
func of(img v1.Image) (*Source, error) {
	d, err := partial.Descriptor(img)
	if err != nil {
		return nil, fmt.Errorf("describing the image: %w", err)
	}
	return &Source{Root: *d, Image: img}, nil
}

// UnavailableError is returned for what a registry does not have, or does not show.
type UnavailableError struct {
	Err      error
	namesake string // what stands here under the same name
}

func (e *UnavailableError) Error() string {
	if e.namesake != "" {
		return e.Err.Error() + " (" + e.namesake + ")"
	}
	return e.Err.Error()
}

// Unwrap returns the reason.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint says what to do about it; it may be "".
func (e *UnavailableError) Hint() string { return registry.Hint(e.Err, registry.Reading) }

// PlaceError is returned for a reference to a file or folder that is not there, or is something else.
type PlaceError struct {
	what, hint string
	absent     bool // there is nothing
}

func (e *PlaceError) Error() string { return e.what }

// Hint says how the right one is written; it may be "".
func (e *PlaceError) Hint() string { return e.hint }

// KindError is returned for something that is neither an image nor an image index.
type KindError struct{ MediaType types.MediaType }

func (e *KindError) Error() string {
	return fmt.Sprintf("neither an image nor an image index but %q", string(e.MediaType))
}

// Hint says what can be opened, and what to do about the one other kind that is still met.
func (e *KindError) Hint() string {
	if e.MediaType.IsSchema1() {
		return "manifests of schema 1 have been given up by every registry; push the image again with a current client"
	}
	return "what can be read are OCI and docker manifests, OCI indexes and docker manifest lists"
}

// EntryError is returned where a layout or an archive has no entry of a name, or several and no name was given.
type EntryError struct {
	// Place is the directory or file, Name what was looked for ("" for the only entry), Known what it holds.
	Place, Name string
	Known       []string
}

func (e *EntryError) Error() string {
	switch {
	case len(e.Known) == 0:
		return fmt.Sprintf("%s holds no image", e.Place)
	case e.Name == "":
		return fmt.Sprintf("%s holds %d images, and the reference names none of them", e.Place, len(e.Known))
	}
	return fmt.Sprintf("%s holds no image %q", e.Place, e.Name)
}

// Hint names the entry that may have been meant, and all others.
func (e *EntryError) Hint() string { return suggest.Hint(e.Name, e.Known) }

// errSource marks a Source that was not made by Open and breaks its rule.
var errSource = errors.New("a source has either an index or an image")

func (s *Source) Check() error {
	if (s.Index == nil) == (s.Image == nil) {
		return fmt.Errorf("%s: %w", s.Name, errSource)
	}
	return nil
}

// Intact tells whether the manifest of s is the one that its digest is for.
func (s *Source) Intact() bool {
	var raw []byte
	var err error
	if s.Index != nil {
		raw, err = s.Index.RawManifest()
	} else {
		raw, err = s.Image.RawManifest()
	}
	if err != nil {
		return false
	}
	got, _, err := v1.SHA256(bytes.NewReader(raw))
	return err == nil && got == s.Root.Digest
}
