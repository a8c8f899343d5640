package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// The files of an OCI layout (image spec, "Image Layout"), and ours.
const (
	markFile  = "oci-layout"
	indexFile = "index.json"
	lockFile  = ".multiarch.lock"
	mark      = `{"imageLayoutVersion":"1.0.0"}`
)

// Layout makes the directory dir one OCI layout of all images, each named by the annotation
// org.opencontainers.image.ref.name (skopeo inspect oci:dist:hello), in the order of their names. Images that stand in
// the layout already stay if their name is in keep and their content is whole; all others are removed, with every blob
// that nothing refers to.
//
// A blob that stands in dir with the right content is neither opened at its source nor written again, and when nothing
// differs nothing is written at all. Every file is complete before it gets its name, and index.json is replaced last:
// whatever interrupts Layout leaves the old layout valid, and the next call clears away what was left behind. Two
// processes writing the same dir take turns. A dir that has content and is no OCI layout is left as it is, with a
// *NotLayoutError.
func Layout(ctx context.Context, dir string, images []Image, keep []string) error {
	return writeLayout(ctx, dir, images, func(name string) bool { return slices.Contains(keep, name) })
}

// AddToLayout is Layout for a directory that holds what somebody else has put there: all images that stand in it stay,
// save those of the same names, and those whose content is not whole.
func AddToLayout(ctx context.Context, dir string, images []Image) error {
	return writeLayout(ctx, dir, images, func(string) bool { return true })
}

func writeLayout(ctx context.Context, dir string, images []Image, keep func(name string) bool) error {
	if err := checkNames(images); err != nil {
		return err
	}
	if err := replaceLayout(ctx, dir, images, keep); err != nil {
		return fmt.Errorf("writing the OCI layout %s: %w", dir, err)
	}
	return nil
}

func replaceLayout(ctx context.Context, dir string, images []Image, keep func(name string) bool) (err error) {
	// Looked at before anything is written, and again when nobody else can write.
	if err := refuseForeign(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o644))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("taking its lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := refuseForeign(dir); err != nil {
		return err
	}

	if _, err := os.Stat(filepath.Join(dir, markFile)); err != nil {
		if err := replaceFile(filepath.Join(dir, markFile), []byte(mark)); err != nil {
			return err
		}
	}
	blobs := store{filepath.Join(dir, "blobs", "sha256")}
	if err := os.MkdirAll(blobs.dir, 0o755); err != nil {
		return err
	}
	entries, used, err := put(ctx, blobs, images)
	if err != nil {
		return err
	}
	kept, err := standing(ctx, dir, blobs, images, keep, used)
	if err != nil {
		return err
	}
	index, err := layoutIndex(append(entries, kept...))
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, indexFile), index); err != nil {
		return err
	}
	return errors.Join(blobs.sweep(used), removeTemporary(dir))
}

// put sees to it that every file of the images is in blobs, and returns the images' entries for index.json and the
// digests they use.
func put(ctx context.Context, blobs store, images []Image) ([]v1.Descriptor, map[v1.Hash]bool, error) {
	var entries []v1.Descriptor
	var files []file
	used := map[v1.Hash]bool{}
	for _, image := range images {
		entry, err := entryOf(image)
		if err != nil {
			return nil, nil, err
		}
		content, err := contentOf(image)
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, entry)
		for _, f := range content.files() {
			if !used[f.digest] {
				used[f.digest] = true
				files = append(files, f)
			}
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, f := range files {
		group.Go(func() error { return blobs.put(ctx, f) })
	}
	return entries, used, group.Wait()
}

// entryOf describes an image's index under the image's name.
func entryOf(image Image) (v1.Descriptor, error) {
	d, err := describe(image.Index, image.Name)
	d.Annotations = map[string]string{nameAnnotation: image.Name}
	return d, err
}

// standing returns the entries of the index.json in dir that stay beside the new images, and adds what they use to
// used. An entry with content that is missing or wrong does not stay: what the new index.json names is whole.
func standing(ctx context.Context, dir string, blobs store, images []Image, keep func(name string) bool, used map[v1.Hash]bool) ([]v1.Descriptor, error) {
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, nil // no layout yet, or none that can be read
	}
	list, err := root.IndexManifest()
	if err != nil {
		return nil, nil
	}
	taken := map[string]bool{}
	for _, i := range images {
		taken[i.Name] = true
	}
	var kept []v1.Descriptor
	for _, d := range list.Manifests {
		name := d.Annotations[nameAnnotation]
		if name != "" && taken[name] || !keep(name) { // those without a name do not stand in one another's way
			continue
		}
		w := walk{seen: map[v1.Hash]bool{}}
		if err := w.child(root, d, name); err != nil {
			continue
		}
		whole, err := blobs.whole(ctx, w.files(), used)
		if err != nil {
			return nil, err
		}
		if whole {
			taken[name] = true
			kept = append(kept, d)
			for _, f := range w.files() {
				used[f.digest] = true
			}
		}
	}
	return kept, nil
}

// layoutIndex is the content of index.json.
func layoutIndex(entries []v1.Descriptor) ([]byte, error) {
	slices.SortStableFunc(entries, func(a, b v1.Descriptor) int {
		return strings.Compare(a.Annotations[nameAnnotation], b.Annotations[nameAnnotation])
	})
	if entries == nil {
		entries = []v1.Descriptor{} // the property is required
	}
	raw, err := json.MarshalIndent(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: entries}, "", "  ")
	return append(raw, '\n'), err
}

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
		case name == markFile:
			return checkMark(dir)
		case name == lockFile, strings.HasPrefix(name, temporary):
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
	raw, err := os.ReadFile(filepath.Join(dir, markFile))
	if err != nil {
		return err
	}
	var m struct {
		Version string `json:"imageLayoutVersion"`
	}
	if json.Unmarshal(raw, &m) != nil || !strings.HasPrefix(m.Version, "1.") {
		return &NotLayoutError{dir, "an " + markFile + " file of another kind or version"}
	}
	return nil
}

// replaceFile gives the file at path the content, in one step, unless it has it already.
func replaceFile(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	temp := filepath.Join(filepath.Dir(path), temporary+filepath.Base(path))
	return writeFile(temp, path, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}
