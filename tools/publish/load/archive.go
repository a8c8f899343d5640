package load

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Format is the format of an archive.
type Format string

const (
	// OCI is a tar of an OCI layout with all platforms: skopeo inspect oci-archive:FILE:NAME.
	OCI Format = "oci"
	// Docker is the format of docker save and docker load: one platform per image.
	Docker Format = "docker"
)

// Archive writes archives of images. They are reproducible: entries are sorted, and have no times and owners.
type Archive struct {
	Format Format
	// Platform selects one image of each index, as a machine of that platform would. If it is zero, an OCI archive holds
	// all platforms, and a Docker archive requires images with one platform (otherwise: *content.PlatformError).
	Platform arch.Platform
	// References are the references (registry/repository:tag) of each image in an engine that loads the archive, by the
	// image's name. The default in a Docker archive is NAME:latest.
	References map[string][]string
}

// Write writes the archive to w. It streams the content and opens each layer once.
func (a Archive) Write(ctx context.Context, w io.Writer, images []content.Image) error {
	entries, err := a.entries(images)
	if err != nil {
		return err
	}
	if err := writeTar(ctx, w, entries); err != nil {
		return fmt.Errorf("writing the %s archive: %w", a.Format, err)
	}
	return nil
}

// WriteFile replaces the file at path with the archive, once the archive is complete.
func (a Archive) WriteFile(ctx context.Context, path string, images []content.Image) error {
	entries, err := a.entries(images)
	if err != nil {
		return err
	}
	err = atomicfile.Write(path, 0o644, func(w io.Writer) error { return writeTar(ctx, w, entries) })
	if err != nil {
		return fmt.Errorf("writing the %s archive %s: %w", a.Format, path, err)
	}
	return nil
}

// entry is a file of the archive, or a directory if its path ends in a slash.
type entry struct {
	path string
	content.File
}

func (a Archive) entries(images []content.Image) ([]entry, error) {
	if err := content.CheckNames(images); err != nil {
		return nil, err
	}
	images = slices.SortedFunc(slices.Values(images), func(x, y content.Image) int {
		return strings.Compare(x.Name, y.Name)
	})
	var entries map[string]content.File
	var err error
	switch a.Format {
	case OCI:
		entries, err = a.ociEntries(images)
	case Docker:
		entries, err = a.dockerEntries(images)
	default:
		err = &FormatError{string(a.Format)}
	}
	if err != nil {
		return nil, err
	}
	sorted := make([]entry, 0, len(entries))
	for _, path := range slices.Sorted(maps.Keys(entries)) {
		sorted = append(sorted, entry{path, entries[path]})
	}
	return sorted, nil
}

// FormatError is returned for an unknown archive format.
type FormatError struct{ Format string }

func (e *FormatError) Error() string { return fmt.Sprintf("unknown archive format %q", e.Format) }

// Hint names the known formats.
func (e *FormatError) Hint() string {
	return suggest.Hint(e.Format, []string{string(OCI), string(Docker)})
}

// tags returns the references of an image in the given order, without duplicates.
func (a Archive) tags(image string) ([]name.Tag, error) {
	var tags []name.Tag
	seen := map[string]bool{}
	for _, r := range a.References[image] {
		tag, err := name.NewTag(r)
		if err != nil {
			return nil, fmt.Errorf("%s: reference %q: %w", image, r, err)
		}
		if !seen[tag.Name()] {
			seen[tag.Name()] = true
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

func writeTar(ctx context.Context, w io.Writer, entries []entry) error {
	tw := tar.NewWriter(w)
	for _, e := range entries {
		h := &tar.Header{Name: e.path, Typeflag: tar.TypeReg, Mode: 0o644, Size: e.Size, Format: tar.FormatUSTAR}
		if strings.HasSuffix(e.path, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if err := e.CopyTo(ctx, tw); err != nil {
			return fmt.Errorf("%s: %w", e.Label, err)
		}
	}
	return tw.Close()
}
