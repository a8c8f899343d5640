package source

import (
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
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// The transports of a reference, as in skopeo and the other tools of containers/image (containers-transports(5)).
const (
	layoutTransport        = "oci:"
	ociArchiveTransport    = "oci-archive:"
	dockerArchiveTransport = "docker-archive:"
)

// linkedTransport is layoutTransport for layouts whose files are links to other directories, as in the sandboxes of
// Bazel.
const linkedTransport = "oci-linked:"

// location is where a reference leads to: a source in a registry, or a collection and the name of an entry in it.
type location struct {
	source     *Source
	collection *collection
	transport  string
	name       string
}

func locate(ctx context.Context, c registry.Client, ref string) (location, error) {
	for transport, open := range map[string]func(path string) (*collection, error){
		layoutTransport: openLayout,
		linkedTransport: func(dir string) (*collection, error) { return readLayout(os.DirFS(dir), dir) },
		ociArchiveTransport: func(file string) (*collection, error) {
			return openArchive(ctx, file, (*archive).readLayout)
		},
		dockerArchiveTransport: func(file string) (*collection, error) {
			return openArchive(ctx, file, (*archive).readDocker)
		},
	} {
		if rest, ok := strings.CutPrefix(ref, transport); ok {
			path, name, _ := strings.Cut(rest, ":")
			if path == "" {
				return location{}, &PathError{
					message: "a path is required after " + transport,
					hint:    "for example oci:dist:hello, oci-archive:images.tar:hello or docker-archive:image.tar",
				}
			}
			all, err := open(path)
			return location{collection: all, transport: transport, name: name}, err
		}
	}
	return locateWithoutTransport(ctx, c, ref)
}

// archiveSuffixes are the file names that are archives without a transport.
var archiveSuffixes = []string{".tar", ".tgz", ".tar.gz", ".tar.zst"}

// IsArchive reports whether ref ends like the name of an archive.
func IsArchive(ref string) bool {
	return slices.ContainsFunc(archiveSuffixes, func(suffix string) bool { return strings.HasSuffix(ref, suffix) })
}

// locateWithoutTransport looks for an archive, or for an image in a registry. Paths are never looked up in a registry.
func locateWithoutTransport(ctx context.Context, c registry.Client, ref string) (location, error) {
	isPath := filepath.IsAbs(ref) || strings.HasPrefix(ref, "./") || strings.HasPrefix(ref, "../")
	isFile := isPath || IsArchive(ref)
	info, err := os.Stat(ref)
	switch {
	case err != nil && !isFile:
		return openRemote(ctx, c, ref, "")
	case errors.Is(err, fs.ErrNotExist):
		return location{}, &PathError{message: ref + " does not exist", missing: true}
	case err != nil:
		return location{}, err
	case !info.IsDir() && isFile:
		transport := ociArchiveTransport
		all, err := openArchive(ctx, ref, func(a *archive) (*collection, error) {
			if !a.has(layout.MarkerFile) {
				transport = dockerArchiveTransport
			}
			return a.readAny()
		})
		return location{collection: all, transport: transport}, err
	}
	if labels, ok := layoutLabels(ref); ok {
		name := "NAME"
		if len(labels) == 1 {
			name = labels[0]
		}
		return location{}, &PathError{
			message: ref + " is an OCI layout",
			hint: fmt.Sprintf("did you mean %s%s:%s? known: %s",
				layoutTransport, ref, name, cmp.Or(strings.Join(labels, ", "), "none")),
		}
	}
	what := "is a directory but not an OCI layout"
	if !info.IsDir() {
		what = "is a file but not an archive: its name does not end in .tar"
	}
	if isPath {
		return location{}, &PathError{message: ref + " " + what, hint: "use oci:DIR:NAME for an OCI layout, or an archive"}
	}
	return openRemote(ctx, c, ref, ref+" "+what)
}

// layoutLabels returns the labels of the entries of an OCI layout, and false if dir is not a layout.
func layoutLabels(dir string) ([]string, bool) {
	files, err := openRooted(dir)
	if err != nil {
		return nil, false
	}
	if _, err := fs.Stat(files, layout.MarkerFile); err != nil {
		return nil, false
	}
	c, err := readLayout(files, dir)
	if err != nil {
		return nil, true
	}
	return c.labels(), true
}

// openRemote opens an image in a registry. local describes the file or directory with the same name, "" if there is
// none.
func openRemote(ctx context.Context, c registry.Client, ref, local string) (location, error) {
	r, err := c.Parse(ref)
	if err != nil {
		return location{}, err
	}
	got, err := remote.Get(r, c.Options(ctx)...)
	if err != nil {
		return location{}, &UnavailableError{err, local}
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
	return location{source: s}, err
}
