// Package source opens the images and image indexes that a reference names: in a registry, an OCI layout, an OCI
// archive or the output of docker save. Content is read when it is used and is not trusted: what a Source returns may
// be damaged or hostile, and limits bound what is read into memory.
package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// Source is an opened image or image index. Exactly one of Index and Image is set.
type Source struct {
	// Name is the reference of the source.
	Name string
	// Root describes the manifest or index: media type, digest, size and, if the registry, layout or archive records one,
	// the platform.
	Root  v1.Descriptor
	Index v1.ImageIndex
	Image v1.Image

	// remote is set for registries: a stream that ends early may then be a network failure.
	remote bool
	sparse bool
	close  func() error
}

// Close closes the file of an archive. Reading from the source may fail afterwards.
func (s *Source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Remote reports whether the source is in a registry.
func (s *Source) Remote() bool { return s.remote }

// Sparse reports whether the index may list images that are not in the archive. This is not an error: docker save
// writes complete indexes, but the images of one platform.
func (s *Source) Sparse() bool { return s.sparse }

// Intact reports whether the manifest or index of s matches its digest.
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

var errInvalidSource = errors.New("a source requires either an index or an image")

// Check returns an error unless exactly one of Index and Image is set.
func (s *Source) Check() error {
	if (s.Index == nil) == (s.Image == nil) {
		return fmt.Errorf("%s: %w", s.Name, errInvalidSource)
	}
	return nil
}

// Open opens the image or index that ref names:
//
//	oci:DIR[:NAME]              an OCI layout; NAME is an entry's org.opencontainers.image.ref.name or its digest
//	oci-linked:DIR[:NAME]       an OCI layout whose symbolic links may leave DIR
//	oci-archive:FILE[:NAME]     a tar of an OCI layout
//	docker-archive:FILE[:NAME]  the output of docker save; NAME is one of its tags
//	FILE.tar or a path          either kind of archive; a path begins with /, ./ or ../
//	anything else               a reference to a registry, which c configures
//
// Archives may be compressed with gzip or zstd. NAME is optional if there is only one image; otherwise the error is an
// *EntryError that lists them. If a registry does not have the image, the error is an *UnavailableError; for a path
// without images it is a *PathError. ctx also governs later reads from a registry. The caller closes the source.
func Open(ctx context.Context, c registry.Client, ref string) (*Source, error) {
	l, err := locate(ctx, c, ref)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", ref, err)
	}
	s := l.source
	if s == nil {
		if s, err = l.collection.openOne(l.name); err != nil {
			return nil, fmt.Errorf("opening %s: %w", ref, err)
		}
	}
	s.Name = ref
	return s, nil
}

// OpenAll is like Open, but if ref names a layout or archive without NAME, it opens all images in it, each digest once.
// Open accepts the names of the sources as references.
func OpenAll(ctx context.Context, c registry.Client, ref string) ([]*Source, error) {
	l, err := locate(ctx, c, ref)
	if err == nil && l.source != nil {
		l.source.Name = ref
		return []*Source{l.source}, nil
	}
	var entries []entry
	if err == nil {
		if entries, err = l.collection.find(l.name); err == nil && l.name != "" && len(entries) > 1 {
			err = l.collection.ambiguous(l.name, entries)
		}
		if err != nil {
			err = errors.Join(err, l.collection.release())
		}
	}
	var sources []*Source
	if err == nil {
		sources, err = l.collection.open(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", ref, err)
	}
	for i, s := range sources {
		if s.Name = ref; len(sources) > 1 {
			s.Name = l.transport + l.collection.place + ":" + entries[i].label()
		}
	}
	return sources, nil
}

// newImage returns the source of an image that is not listed anywhere.
func newImage(img v1.Image) (*Source, error) {
	d, err := partial.Descriptor(img)
	if err != nil {
		return nil, fmt.Errorf("describing the image: %w", err)
	}
	return &Source{Root: *d, Image: img}, nil
}
