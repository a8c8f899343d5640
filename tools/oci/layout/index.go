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

// BrokenIndexError is returned if index.json is invalid and may list images of other tools.
type BrokenIndexError struct {
	File string
	Err  error
}

func (e *BrokenIndexError) Error() string {
	return fmt.Sprintf("reading %s: %v", e.File, e.Err)
}
func (e *BrokenIndexError) Unwrap() error { return e.Err }

// Hint suggests to repair the file.
func (e *BrokenIndexError) Hint() string {
	return "repair the file, which may list images of other tools, or write to another directory"
}

// index is the index.json of a layout.
type index struct {
	*indexjson.Index
	raw []byte // nil if the file is missing
}

// readList reads the index.json in dir. A damaged file counts as missing if multiarch wrote all of it.
func readList(dir string, r record) (index, error) {
	file := filepath.Join(dir, IndexFile)
	raw, err := inputfile.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return emptyList(nil)
	}
	if err != nil {
		return index{}, err
	}
	parsed, err := indexjson.Parse(raw)
	if err != nil && !r.Sole {
		return index{}, &BrokenIndexError{file, err}
	}
	if err != nil {
		return emptyList(raw)
	}
	return index{parsed, raw}, nil
}

func emptyList(raw []byte) (index, error) {
	text, err := Index(nil)
	if err != nil {
		return index{}, err
	}
	parsed, err := indexjson.Parse(text)
	return index{parsed, raw}, err
}

// nameOf returns the name of an entry, or "".
func nameOf(e indexjson.Entry) string { return e.Descriptor.Annotations[NameAnnotation] }

// replace inserts entries of images, each in place of the first one with its name, and removes the entries for which
// remove returns true. Unchanged entries keep their bytes.
func (l index) replace(entries []v1.Descriptor, remove func(indexjson.Entry) bool) error {
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
		case name != "" && ours && placed[name], !ours && remove(e):
		case name != "" && ours:
			placed[name] = true
			if !matches(e, d) {
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

// matches reports whether an entry is equal to d, except for additional annotations.
func matches(e indexjson.Entry, d v1.Descriptor) bool {
	for key, value := range d.Annotations {
		if e.Descriptor.Annotations[key] != value {
			return false
		}
	}
	return e.Err == nil && e.Descriptor.Digest == d.Digest && e.Descriptor.Size == d.Size &&
		e.Descriptor.MediaType == d.MediaType
}

// has reports whether the index has the entry d.
func (l index) has(d v1.Descriptor) bool {
	return slices.ContainsFunc(l.Entries, func(e indexjson.Entry) bool {
		return nameOf(e) == d.Annotations[NameAnnotation] && matches(e, d)
	})
}

// isOurs reports whether multiarch wrote everything in the index.
func (l index) isOurs(r record) bool {
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

// plain reports whether an entry has only fields that multiarch writes.
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

// text returns the new content of index.json. If everything in it is ours, it is independent of the old content.
func (l index) text(r record) ([]byte, error) {
	if !l.isOurs(r) {
		return l.Bytes(), nil
	}
	var entries []v1.Descriptor
	for _, e := range l.Entries {
		entries = append(entries, e.Descriptor)
	}
	return Index(entries)
}

// unchanged reports whether the file has not changed since it was read. Other tools ignore the lock.
func (l index) unchanged(dir string) bool {
	raw, err := inputfile.ReadFile(filepath.Join(dir, IndexFile))
	if l.raw == nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && bytes.Equal(raw, l.raw)
}

// Index returns the content of an index.json with the given entries, sorted by name.
func Index(entries []v1.Descriptor) ([]byte, error) {
	slices.SortStableFunc(entries, func(a, b v1.Descriptor) int {
		return strings.Compare(a.Annotations[NameAnnotation], b.Annotations[NameAnnotation])
	})
	if entries == nil {
		entries = []v1.Descriptor{} // the property is required
	}
	content := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: entries}
	raw, err := json.MarshalIndent(content, "", "  ")
	return append(raw, '\n'), err
}
