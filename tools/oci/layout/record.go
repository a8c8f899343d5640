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

// layoutRecord is the content of recordFile. It is written before what it records: a process that is killed leaves blobs that
// the next one can remove.
type layoutRecord struct {
	// Entries are those of index.json.
	Entries []recordedEntry `json:"entries"`
	// Blobs are those that did not exist before they were written.
	Blobs []v1.Hash `json:"blobs"`
	// Sole is that index.json had no entries and no fields but ours when it was written last. Then a damaged one can be
	// written again without losing anything.
	Sole bool `json:"sole"`
}

type recordedEntry struct {
	Name   string  `json:"name"`
	Digest v1.Hash `json:"digest"`
	// Build is that a build has written it: another build removes it if multiarch.yaml no longer has an image of that
	// name.
	Build bool `json:"build,omitempty"`
}

// readRecord returns the record of the layout in dir. One that is missing or damaged says that nothing is ours.
func readRecord(dir string) layoutRecord {
	var r layoutRecord
	raw, err := inputfile.ReadFile(filepath.Join(dir, recordFile))
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return layoutRecord{}
	}
	return r
}

func (r *layoutRecord) write(dir string) error {
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

// entry returns the record of an entry of index.json, false if it is not ours.
func (r layoutRecord) entry(name, digest string) (recordedEntry, bool) {
	i := slices.IndexFunc(r.Entries, func(e recordedEntry) bool { return e.Name == name && e.Digest.String() == digest })
	if name == "" || i < 0 {
		return recordedEntry{}, false
	}
	return r.Entries[i], true
}

// wrote reports whether an entry is recorded.
func (r layoutRecord) wrote(d v1.Descriptor) bool {
	_, ok := r.entry(d.Annotations[NameAnnotation], d.Digest.String())
	return ok
}

// lostName reports whether an entry is one of a build that was damaged so that it has no name any more.
func (r layoutRecord) lostName(list layoutList, e indexjson.Entry) bool {
	return nameOf(e) == "" && slices.ContainsFunc(r.Entries, func(ours recordedEntry) bool {
		return ours.Build && ours.Digest.String() == e.Digest &&
			!slices.ContainsFunc(list.Entries, func(other indexjson.Entry) bool { return nameOf(other) == ours.Name })
	})
}
