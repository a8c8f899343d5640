package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// readLayout lists the entries of the OCI layout in files. Error messages call it place.
func readLayout(files fs.FS, place string) (*collection, error) {
	reader := layout.Reader{Files: files}
	if _, err := fs.Stat(files, layout.MarkerFile); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is not an OCI layout: it has no file %s", place, layout.MarkerFile)
		}
		return nil, err
	}
	raw, err := reader.ReadDocument(layout.IndexFile)
	if err != nil {
		return nil, err
	}
	var index struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%s: reading %s: %w", place, layout.IndexFile, err)
	}
	c := &collection{place: place}
	for _, entry := range index.Manifests {
		c.entries = append(c.entries, layoutEntry(reader, entry))
	}
	return c, nil
}

// layoutEntry decodes an entry of index.json. An entry that cannot be decoded fails only when it is opened: other tools
// also list artifacts and digests of other algorithms.
func layoutEntry(reader layout.Reader, raw json.RawMessage) entry {
	var d v1.Descriptor
	err := json.Unmarshal(raw, &d)
	var lenient struct {
		Digest      string            `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	}
	_ = json.Unmarshal(raw, &lenient) // sets the fields that can be decoded
	e := entry{id: lenient.Digest, auxiliary: err != nil || !manifest.IsImage(d)}
	for _, key := range []string{layout.NameAnnotation, layout.ContainerdNameAnnotation} {
		if name := lenient.Annotations[key]; name != "" && !slices.Contains(e.names, name) {
			e.names = append(e.names, name)
		}
	}
	e.matches = func(name string) bool { return slices.Contains(e.names, name) || name == e.id }
	e.open = func() (*Source, error) {
		if err != nil {
			return nil, fmt.Errorf("reading its entry in %s: %w", layout.IndexFile, err)
		}
		return fromLayout(reader, d)
	}
	return e
}

// fromLayout opens the image or index that d describes.
func fromLayout(reader layout.Reader, d v1.Descriptor) (*Source, error) {
	s := &Source{Root: d}
	var err error
	switch {
	case d.MediaType.IsIndex():
		s.Index = reader.Index(d)
	case d.MediaType.IsImage():
		s.Image, err = reader.Image(d)
	default:
		err = &KindError{d.MediaType}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OpenBlobs opens the image or index that root describes. Its blobs are in files, under the names that they have in an
// OCI layout. Error messages call it name.
func OpenBlobs(files fs.FS, root v1.Descriptor, name string) (*Source, error) {
	s, err := fromLayout(layout.Reader{Files: files}, root)
	if err != nil {
		return nil, err
	}
	s.Name = name
	return s, nil
}

// InLayout reports whether the OCI layout in dir has an entry called name.
func InLayout(dir, name string) bool {
	c, err := openLayout(dir)
	if err != nil {
		return false
	}
	_, err = c.find(name)
	return err == nil
}
