package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// BrokenIndexError is returned for a layout whose index.json cannot be read and may list what other tools have written.
type BrokenIndexError struct {
	File string
	Err  error
}

func (e *BrokenIndexError) Error() string {
	return fmt.Sprintf("%s cannot be read: %v", e.File, e.Err)
}
func (e *BrokenIndexError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *BrokenIndexError) Hint() string {
	return "repair it, or write to another directory: it may list images that multiarch did not write"
}

// layoutList is the index.json of a layout.
type layoutList struct {
	*indexjson.Index
	raw []byte // nil if there is no file
}

// readList reads the index.json in dir. If all of it was ours, one that is damaged is as good as none.
func readList(dir string, r layoutRecord) (layoutList, error) {
	file := filepath.Join(dir, IndexFile)
	raw, err := inputfile.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return emptyList(nil)
	}
	if err != nil {
		return layoutList{}, err
	}
	index, err := indexjson.Parse(raw)
	if err != nil && !r.Sole {
		return layoutList{}, &BrokenIndexError{file, err}
	}
	if err != nil {
		return emptyList(raw)
	}
	return layoutList{index, raw}, nil
}

func emptyList(raw []byte) (layoutList, error) {
	text, err := Index(nil)
	if err != nil {
		return layoutList{}, err
	}
	index, err := indexjson.Parse(text)
	return layoutList{index, raw}, err
}

// nameOf is the name of an entry, "" if it has none.
func nameOf(e indexjson.Entry) string { return e.Descriptor.Annotations[NameAnnotation] }

// replace gives the list the entries for images, each in the place of the first one with its name, and without those
// that drop says. What is there as it has to be stays as it is written.
func (l layoutList) replace(entries []v1.Descriptor, drop func(indexjson.Entry) bool) error {
	own := map[string]v1.Descriptor{}
	for _, d := range entries {
		own[d.Annotations[NameAnnotation]] = d
	}
	var list []indexjson.Entry
	placed := map[string]bool{}
	for _, e := range l.Entries {
		name := nameOf(e)
		d, ours := own[name]
		switch {
		case name != "" && ours && placed[name], !ours && drop(e):
		case name != "" && ours:
			placed[name] = true
			if !says(e, d) {
				var err error
				if e, err = indexjson.NewEntry(d); err != nil {
					return err
				}
			}
			list = append(list, e)
		default:
			list = append(list, e)
		}
	}
	for _, d := range entries {
		if placed[d.Annotations[NameAnnotation]] {
			continue
		}
		e, err := indexjson.NewEntry(d)
		if err != nil {
			return err
		}
		list = append(list, e)
	}
	l.Entries = list
	return nil
}

// says reports whether an entry describes what d does. It may have more annotations.
func says(e indexjson.Entry, d v1.Descriptor) bool {
	for key, value := range d.Annotations {
		if e.Descriptor.Annotations[key] != value {
			return false
		}
	}
	return e.Err == nil && e.Descriptor.Digest == d.Digest && e.Descriptor.Size == d.Size && e.Descriptor.MediaType == d.MediaType
}

// has reports whether an entry is there already.
func (l layoutList) has(d v1.Descriptor) bool {
	return slices.ContainsFunc(l.Entries, func(e indexjson.Entry) bool {
		return nameOf(e) == d.Annotations[NameAnnotation] && says(e, d)
	})
}

// sole reports whether nothing in the list is of other tools.
func (l layoutList) sole(r layoutRecord) bool {
	for _, key := range l.Keys() {
		if key != "schemaVersion" && key != "mediaType" && key != "manifests" {
			return false
		}
	}
	return !slices.ContainsFunc(l.Entries, func(e indexjson.Entry) bool {
		_, ours := r.entry(nameOf(e), e.Digest)
		return !ours || e.Err != nil || !plain(e)
	})
}

// plain reports whether an entry has no fields but those that we write.
func plain(e indexjson.Entry) bool {
	o, err := indexjson.ParseObject(e.Raw)
	if err != nil {
		return false
	}
	for _, key := range o.Keys() {
		if !slices.Contains([]string{"mediaType", "size", "digest", "annotations"}, key) {
			return false
		}
	}
	return true
}

// text is the content of index.json. If all of it is ours, it does not depend on what was there before.
func (l layoutList) text(r layoutRecord) ([]byte, error) {
	if !l.sole(r) {
		return l.Bytes(), nil
	}
	var entries []v1.Descriptor
	for _, e := range l.Entries {
		entries = append(entries, e.Descriptor)
	}
	return Index(entries)
}

// unchanged reports whether the file still is what was read. Other tools do not know our lock.
func (l layoutList) unchanged(dir string) bool {
	raw, err := inputfile.ReadFile(filepath.Join(dir, IndexFile))
	if l.raw == nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && bytes.Equal(raw, l.raw)
}

// Index is the content of an index.json that has our entries only.
func Index(entries []v1.Descriptor) ([]byte, error) {
	slices.SortStableFunc(entries, func(a, b v1.Descriptor) int {
		return strings.Compare(a.Annotations[NameAnnotation], b.Annotations[NameAnnotation])
	})
	if entries == nil {
		entries = []v1.Descriptor{} // the property is required
	}
	raw, err := json.MarshalIndent(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: entries}, "", "  ")
	return append(raw, '\n'), err
}
