package layout

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// Write writes images into the OCI layout in dir, each named by the annotation org.opencontainers.image.ref.name (skopeo
// inspect oci:dist:hello). Images of earlier calls stay if their names are in keep and their content is whole; others of
// earlier calls are removed, with the blobs that only they use. What other tools have written stays byte for byte, unless
// an image takes its name: entries, blobs, and fields of index.json.
//
// A blob that dir has with the right content is neither opened at its source nor written again, and if nothing differs
// nothing is written at all. Every file is complete before it gets its name, and index.json is replaced last: whatever
// interrupts Write leaves the old layout valid, and the next call removes what was left behind. Two processes writing
// the same dir take turns. A dir that has content and is no OCI layout is left as it is, with a *NotLayoutError.
func Write(ctx context.Context, dir string, images []content.Image, keep []string) error {
	return writeLayout(ctx, dir, images, layoutChange{build: true, keep: keep})
}

// Add is Write for images that no build has made: all others stay.
func Add(ctx context.Context, dir string, images []content.Image) error {
	return writeLayout(ctx, dir, images, layoutChange{})
}

// Replace is Add for an image that was made from what dir had under its name, with the digest onto; the
// zero hash means that it had nothing. If that has changed, nothing is written and the error is a *ChangedError.
func Replace(ctx context.Context, dir string, image content.Image, onto v1.Hash) error {
	return writeLayout(ctx, dir, []content.Image{image}, layoutChange{onto: &onto})
}

// layoutChange says what becomes of entries that are not written.
type layoutChange struct {
	// build is that all images of earlier builds go whose names are not in keep.
	build bool
	keep  []string
	// onto is the digest that the entry with the name of the only image has to have, nil for any.
	onto *v1.Hash
}

func writeLayout(ctx context.Context, dir string, images []content.Image, change layoutChange) error {
	if err := content.CheckNames(images); err != nil {
		return err
	}
	if err := replaceLayout(ctx, dir, images, change); err != nil {
		return fmt.Errorf("writing the OCI layout %s: %w", dir, err)
	}
	return nil
}

func replaceLayout(ctx context.Context, dir string, images []content.Image, change layoutChange) (err error) {
	// Checked before anything is written, and again when no other process can write.
	if err := refuseForeign(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, LockFile), flock.SetPermissions(0o644))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("taking its lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := refuseForeign(dir); err != nil {
		return err
	}

	w := layoutWriter{dir: dir, blobs: store{filepath.Join(dir, BlobsDir)}, record: readRecord(dir), change: change, used: map[v1.Hash]bool{}}
	list, err := readList(dir, w.record)
	if err != nil {
		return err
	}
	if err := change.check(images, list); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, MarkerFile)); err != nil {
		if err := replaceFile(filepath.Join(dir, MarkerFile), []byte(Marker)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(w.blobs.dir, "sha256"), 0o755); err != nil {
		return err
	}
	if err := w.put(ctx, images, list); err != nil {
		return err
	}
	if err := w.list(ctx, images); err != nil {
		return err
	}
	return w.clear()
}

// check reports whether the entry that is to be replaced has changed.
func (c layoutChange) check(images []content.Image, list layoutList) error {
	if c.onto == nil {
		return nil
	}
	name := images[0].Name
	var now v1.Hash
	for _, e := range list.Entries {
		if nameOf(e) == name {
			now = e.Descriptor.Digest
			break
		}
	}
	if now == *c.onto {
		return nil
	}
	return &ChangedError{Name: name, Expected: *c.onto, Actual: now}
}

// layoutWriter is one write to a layout whose lock is held.
type layoutWriter struct {
	dir     string
	blobs   store
	record  layoutRecord
	change  layoutChange
	entries []v1.Descriptor  // of the images
	used    map[v1.Hash]bool // the blobs of the images
}

// put writes the blobs of the images that the layout lacks.
func (w *layoutWriter) put(ctx context.Context, images []content.Image, list layoutList) error {
	var files []content.File
	for _, image := range images {
		entry, err := entryOf(image)
		if err != nil {
			return err
		}
		graph, err := content.List(image)
		if err != nil {
			return err
		}
		w.entries = append(w.entries, entry)
		for _, f := range graph.Files() {
			if !w.used[f.Digest] {
				w.used[f.Digest] = true
				files = append(files, f)
			}
		}
	}
	lacking, err := w.blobs.lacking(ctx, files)
	if err != nil {
		return err
	}
	for _, f := range lacking {
		if _, err := os.Lstat(w.blobs.path(f.Digest)); errors.Is(err, fs.ErrNotExist) {
			w.record.Blobs = append(w.record.Blobs, f.Digest)
		}
	}
	for _, e := range w.entries {
		if list.has(e) && !w.record.wrote(e) {
			continue // another tool wrote it, and it stays as it is
		}
		w.record.Entries = append(w.record.Entries, recordedEntry{e.Annotations[NameAnnotation], e.Digest, w.change.build})
	}
	if err := w.record.write(w.dir); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, f := range lacking {
		group.Go(func() error { return w.blobs.put(ctx, f) })
	}
	return group.Wait()
}

// list replaces index.json.
func (w *layoutWriter) list(ctx context.Context, images []content.Image) error {
	for {
		list, err := readList(w.dir, w.record)
		if err != nil {
			return err
		}
		if err := w.change.check(images, list); err != nil {
			return err
		}
		var unread error
		err = list.replace(w.entries, func(e indexjson.Entry) bool {
			dropped, err := w.drops(ctx, list, e)
			unread = cmp.Or(unread, err)
			return dropped
		})
		if err := cmp.Or(err, unread, ctx.Err()); err != nil {
			return err
		}
		text, err := list.text(w.record)
		if err != nil {
			return err
		}
		if !list.unchanged(w.dir) {
			continue // another tool has written it meanwhile
		}
		return replaceFile(filepath.Join(w.dir, IndexFile), text)
	}
}

// drops reports whether an entry goes that no image replaces: one of an earlier build, whose name is not kept or whose
// content is not whole.
func (w *layoutWriter) drops(ctx context.Context, list layoutList, e indexjson.Entry) (bool, error) {
	ours, ok := w.record.entry(nameOf(e), e.Digest)
	if !w.change.build || ok && !ours.Build {
		return false, nil
	}
	if !ok {
		return w.record.lostName(list, e), nil
	}
	if !slices.Contains(w.change.keep, ours.Name) {
		return true, nil
	}
	files, err := w.blobs.files(e.Descriptor, ours.Name, 4)
	if err != nil {
		return true, nil
	}
	whole, err := w.blobs.whole(ctx, files, w.used)
	return err == nil && !whole, err
}

// clear removes what is ours and not used any more, and records the rest.
func (w *layoutWriter) clear() error {
	list, err := readList(w.dir, w.record)
	if err != nil {
		return err
	}
	all := references{w.blobs.dir, map[string]bool{}}
	for _, e := range list.Entries {
		all.follow(e.Digest)
	}
	var kept layoutRecord
	var errs []error
	for _, h := range w.record.Blobs {
		if all.seen[h.String()] || w.used[h] {
			kept.Blobs = append(kept.Blobs, h)
			continue
		}
		if err := os.Remove(w.blobs.path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			kept.Blobs = append(kept.Blobs, h)
			errs = append(errs, err)
		}
	}
	for _, e := range list.Entries {
		// An entry may be recorded twice, by a build and by another command: the last counts.
		for _, ours := range slices.Backward(w.record.Entries) {
			if ours.Name == nameOf(e) && ours.Digest.String() == e.Digest {
				kept.Entries = append(kept.Entries, ours)
				break
			}
		}
	}
	kept.Sole = list.sole(kept)
	errs = append(errs, kept.write(w.dir), w.blobs.removeTemporary(), removeTemporary(w.dir))
	return errors.Join(errs...)
}

// entryOf describes an image's index under the image's name.
func entryOf(image content.Image) (v1.Descriptor, error) {
	d, err := content.Describe(image.Index, image.Name)
	d.Annotations = map[string]string{}
	maps.Copy(d.Annotations, image.Annotations)
	d.Annotations[NameAnnotation] = image.Name
	return d, err
}

// ChangedError is returned if another process has changed an entry since its replacement was made from it.
type ChangedError struct {
	Name string
	// Expected and Actual are the digests of the entry, zero if there was none.
	Expected, Actual v1.Hash
}

func (e *ChangedError) Error() string {
	state := func(h v1.Hash) string {
		if h == (v1.Hash{}) {
			return "missing"
		}
		return h.String()
	}
	return fmt.Sprintf("%s was changed by another process meanwhile: it was %s, and is %s", e.Name, state(e.Expected), state(e.Actual))
}

// Hint suggests to start again from the current entry.
func (e *ChangedError) Hint() string { return "run it again, to change what it is now" }

// NotLayoutError is returned for a directory that holds something else than an OCI layout.
type NotLayoutError struct {
	// Dir is the directory, Found the name of something in it.
	Dir, Found string
}

func (e *NotLayoutError) Error() string {
	return fmt.Sprintf("%s is not empty and not an OCI layout: it holds %s", e.Dir, e.Found)
}

// Hint says what to do about it.
func (e *NotLayoutError) Hint() string {
	return "choose another directory with --output, or remove this one"
}

// refuseForeign returns a *NotLayoutError unless dir is a layout, is empty, is missing, or holds no more than a first
// call leaves behind that was stopped before it marked dir as a layout.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	found := ""
	for _, e := range entries {
		switch name := e.Name(); {
		case name == MarkerFile:
			return checkMark(dir)
		case name == LockFile, name == recordFile, strings.HasPrefix(name, tempPrefix):
		default:
			found = name
		}
	}
	if found != "" {
		return &NotLayoutError{dir, found}
	}
	return nil
}

func checkMark(dir string) error {
	raw, err := inputfile.ReadFile(filepath.Join(dir, MarkerFile))
	if err != nil {
		return err
	}
	var m struct {
		Version string `json:"imageLayoutVersion"`
	}
	if json.Unmarshal(raw, &m) != nil || !strings.HasPrefix(m.Version, "1.") {
		return &NotLayoutError{dir, "an " + MarkerFile + " file of another kind or version"}
	}
	return nil
}

// replaceFile gives the file at path the content, in one step, unless it has it already.
func replaceFile(path string, content []byte) error {
	if old, err := inputfile.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return atomicfile.WriteVia(tempFile(path), path, 0o644, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}
