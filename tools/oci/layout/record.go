package layout

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// record is the content of recordFile: what multiarch wrote. Other tools write into layouts too, and their files must
// stay. The record is written first, so that the next call can remove what a killed process left behind.
type record struct {
	// Entries are entries of index.json.
	Entries []recordedEntry `json:"entries"`
	// Blobs are blobs that did not exist before.
	Blobs []v1.Hash `json:"blobs"`
	// Sole reports whether everything in index.json was ours when it was written last. A damaged file can then be replaced
	// without losing anything.
	Sole bool `json:"sole"`
}

type recordedEntry struct {
	Name   string  `json:"name"`
	Digest v1.Hash `json:"digest"`
	// Build reports whether a build wrote the entry. Another build removes it if multiarch.yaml no longer has an image of
	// that name.
	Build bool `json:"build,omitempty"`
}

// readRecord returns the record of the layout in dir. If it is missing or damaged, nothing counts as ours.
func readRecord(dir string) record {
	var r record
	raw, err := inputfile.ReadFile(filepath.Join(dir, recordFile))
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return record{}
	}
	return r
}

func (r *record) write(dir string) error {
	slices.SortFunc(r.Entries, func(a, b recordedEntry) int {
		return strings.Compare(a.Name+" "+a.Digest.String(), b.Name+" "+b.Digest.String())
	})
	slices.SortFunc(r.Blobs, func(a, b v1.Hash) int { return strings.Compare(a.String(), b.String()) })
	r.Entries, r.Blobs = slices.Compact(r.Entries), slices.Compact(r.Blobs)
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, recordFile), append(raw, '\n'))
}

// entry returns the record of an entry of index.json, or false if it is not ours.
func (r record) entry(name, digest string) (recordedEntry, bool) {
	i := slices.IndexFunc(r.Entries, func(e recordedEntry) bool { return e.Name == name && e.Digest.String() == digest })
	if name == "" || i < 0 {
		return recordedEntry{}, false
	}
	return r.Entries[i], true
}

// wrote reports whether d is recorded.
func (r record) wrote(d v1.Descriptor) bool {
	_, ok := r.entry(d.Annotations[NameAnnotation], d.Digest.String())
	return ok
}

// ownsUnnamed reports whether an entry is one of a build that lost its name through damage.
func (r record) ownsUnnamed(list index, e indexjson.Entry) bool {
	return nameOf(e) == "" && slices.ContainsFunc(r.Entries, func(ours recordedEntry) bool {
		return ours.Build && ours.Digest.String() == e.Digest &&
			!slices.ContainsFunc(list.Entries, func(other indexjson.Entry) bool { return nameOf(other) == ours.Name })
	})
}
