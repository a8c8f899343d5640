// Package layout writes OCI image layouts: directories that hold images for skopeo, crane and other tools. Every file
// is complete before it gets its name, and index.json is replaced last, so that an interrupted write leaves the old
// layout valid. A layout may be shared with other tools: multiarch records what it wrote, and keeps everything else.
// The package also owns the names of the files, and refuses layouts as the source of an image's files.
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

// Write writes images to the OCI layout in dir. The annotation org.opencontainers.image.ref.name holds an image's name,
// as in "skopeo inspect oci:dist:hello". Images of earlier calls stay if their names are in keep and their content is
// complete; other images of earlier calls are removed, with the blobs that only they use. What other tools wrote stays
// byte for byte, except entries whose name an image takes.
//
// Blobs that exist with the right content are neither read from the images nor written again. If nothing changes,
// nothing is written. Files that an interrupted call left behind are removed. Concurrent processes wait for each other.
// If dir has content and is not an OCI layout, the error is a *NotLayoutError.
func Write(ctx context.Context, dir string, images []content.Image, keep []string) error {
	return write(ctx, dir, images, options{replaceBuild: true, keep: keep})
}

// Add writes images to the OCI layout in dir as Write does, and keeps all other images.
func Add(ctx context.Context, dir string, images []content.Image) error {
	return write(ctx, dir, images, options{})
}

// Replace adds an image as Add does, if the entry with its name has the digest expected, or is missing if that is zero.
// Otherwise it writes nothing and returns a *ChangedError.
func Replace(ctx context.Context, dir string, image content.Image, expected v1.Hash) error {
	return write(ctx, dir, []content.Image{image}, options{expected: &expected})
}

// options control what happens to existing entries.
type options struct {
	// replaceBuild removes images of earlier builds, unless their names are in keep.
	replaceBuild bool
	keep         []string
	// expected is the digest that the entry of the only image must have; nil accepts any.
	expected *v1.Hash
}

func write(ctx context.Context, dir string, images []content.Image, o options) error {
	if err := content.CheckNames(images); err != nil {
		return err
	}
	if err := writeLocked(ctx, dir, images, o); err != nil {
		return fmt.Errorf("writing the OCI layout %s: %w", dir, err)
	}
	return nil
}

func writeLocked(ctx context.Context, dir string, images []content.Image, o options) (err error) {
	// Check before anything is written, and again under the lock.
	if err := checkDir(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, LockFile), flock.SetPermissions(0o644))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("locking it: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := checkDir(dir); err != nil {
		return err
	}

	w := writer{
		dir: dir, blobs: blobStore{filepath.Join(dir, BlobsDir)}, record: readRecord(dir), options: o,
		used: map[v1.Hash]bool{},
	}
	list, err := readList(dir, w.record)
	if err != nil {
		return err
	}
	if err := o.check(images, list); err != nil {
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
	if err := w.writeBlobs(ctx, images, list); err != nil {
		return err
	}
	if err := w.writeIndex(ctx, images); err != nil {
		return err
	}
	return w.removeUnused()
}

// check returns a *ChangedError if the entry to be replaced has changed.
func (o options) check(images []content.Image, list index) error {
	if o.expected == nil {
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
	if now == *o.expected {
		return nil
	}
	return &ChangedError{Name: name, Expected: *o.expected, Actual: now}
}

// writer is one call of write, with the lock held.
type writer struct {
	dir     string
	blobs   blobStore
	record  record
	options options
	entries []v1.Descriptor  // of the images
	used    map[v1.Hash]bool // the blobs of the images
}

// writeBlobs writes the blobs that the layout lacks.
func (w *writer) writeBlobs(ctx context.Context, images []content.Image, list index) error {
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
	missing, err := w.blobs.missing(ctx, files)
	if err != nil {
		return err
	}
	for _, f := range missing {
		if _, err := os.Lstat(w.blobs.path(f.Digest)); errors.Is(err, fs.ErrNotExist) {
			w.record.Blobs = append(w.record.Blobs, f.Digest)
		}
	}
	for _, e := range w.entries {
		if list.has(e) && !w.record.wrote(e) {
			continue // another tool wrote the same entry, and owns it
		}
		w.record.Entries = append(w.record.Entries,
			recordedEntry{e.Annotations[NameAnnotation], e.Digest, w.options.replaceBuild})
	}
	if err := w.record.write(w.dir); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, f := range missing {
		group.Go(func() error { return w.blobs.put(ctx, f) })
	}
	return group.Wait()
}

// writeIndex replaces index.json.
func (w *writer) writeIndex(ctx context.Context, images []content.Image) error {
	for {
		list, err := readList(w.dir, w.record)
		if err != nil {
			return err
		}
		if err := w.options.check(images, list); err != nil {
			return err
		}
		var readErr error
		err = list.replace(w.entries, func(e indexjson.Entry) bool {
			removed, err := w.removes(ctx, list, e)
			readErr = cmp.Or(readErr, err)
			return removed
		})
		if err := cmp.Or(err, readErr, ctx.Err()); err != nil {
			return err
		}
		text, err := list.text(w.record)
		if err != nil {
			return err
		}
		if !list.unchanged(w.dir) {
			continue // another tool, which does not know the lock, has written it
		}
		return replaceFile(filepath.Join(w.dir, IndexFile), text)
	}
}

// removes reports whether an entry that no image replaces is removed: one of an earlier build, if its name is not kept
// or its content is incomplete.
func (w *writer) removes(ctx context.Context, list index, e indexjson.Entry) (bool, error) {
	ours, ok := w.record.entry(nameOf(e), e.Digest)
	if !w.options.replaceBuild || ok && !ours.Build {
		return false, nil
	}
	if !ok {
		return w.record.ownsUnnamed(list, e), nil
	}
	if !slices.Contains(w.options.keep, ours.Name) {
		return true, nil
	}
	files, err := w.blobs.files(e.Descriptor, ours.Name, 4)
	if err != nil {
		return true, nil
	}
	complete, err := w.blobs.hasAll(ctx, files, w.used)
	return err == nil && !complete, err
}

// removeUnused removes blobs that multiarch wrote and nothing refers to, and updates the record.
func (w *writer) removeUnused() error {
	list, err := readList(w.dir, w.record)
	if err != nil {
		return err
	}
	all := references{w.blobs.dir, map[string]bool{}}
	for _, e := range list.Entries {
		all.follow(e.Digest)
	}
	var kept record
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
		// An entry may be recorded twice, by a build and by another command: the last record counts.
		for _, ours := range slices.Backward(w.record.Entries) {
			if ours.Name == nameOf(e) && ours.Digest.String() == e.Digest {
				kept.Entries = append(kept.Entries, ours)
				break
			}
		}
	}
	kept.Sole = list.isOurs(kept)
	errs = append(errs, kept.write(w.dir), w.blobs.removeTemporary(), removeTemporary(w.dir))
	return errors.Join(errs...)
}

// entryOf returns the entry of an image for index.json.
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
			return "no entry"
		}
		return h.String()
	}
	return fmt.Sprintf("%s was changed by another process: expected %s, found %s",
		e.Name, state(e.Expected), state(e.Actual))
}

// Hint suggests to start from the current entry.
func (e *ChangedError) Hint() string { return "run the command again to change the current index" }

// NotLayoutError is returned for a directory that has content and is not an OCI layout.
type NotLayoutError struct {
	// Dir is the directory, Found what it holds.
	Dir, Found string
}

func (e *NotLayoutError) Error() string {
	return fmt.Sprintf("%s is not an OCI layout: it contains %s", e.Dir, e.Found)
}

// Hint names the flag that selects the directory.
func (e *NotLayoutError) Hint() string {
	return "choose another directory with --output, or remove this one"
}

// checkDir returns a *NotLayoutError unless dir is a layout, empty or missing. It ignores what an interrupted
// first call leaves behind.
func checkDir(dir string) error {
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
			return checkMarker(dir)
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

func checkMarker(dir string) error {
	raw, err := inputfile.ReadFile(filepath.Join(dir, MarkerFile))
	if err != nil {
		return err
	}
	var m struct {
		Version string `json:"imageLayoutVersion"`
	}
	if json.Unmarshal(raw, &m) != nil || !strings.HasPrefix(m.Version, "1.") {
		return &NotLayoutError{dir, "an " + MarkerFile + " file of an unknown format or version"}
	}
	return nil
}

// replaceFile replaces the content of a file atomically, unless it has that content already.
func replaceFile(path string, content []byte) error {
	if old, err := inputfile.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return atomicfile.WriteVia(tempFile(path), path, 0o644, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}
