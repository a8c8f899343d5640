package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
	"github.com/multiarch-build/multiarch/tools/oci/content"
)

// store is the directory of a layout's blobs: in a directory for each algorithm, named by their digests' digits.
type store struct{ dir string }

func (s store) path(h v1.Hash) string { return filepath.Join(s.dir, h.Algorithm, h.Hex) }

// lacking returns the files that s does not hold.
func (s store) lacking(ctx context.Context, files []content.File) ([]content.File, error) {
	held := make([]bool, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i, f := range files {
		group.Go(func() error {
			held[i] = s.holds(ctx, f)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var lacking []content.File
	for i, f := range files {
		if !held[i] {
			lacking = append(lacking, f)
		}
	}
	return lacking, nil
}

// put writes f.
func (s store) put(ctx context.Context, f content.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := s.path(f.Digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := atomicfile.WriteVia(tempFile(path), path, 0o644, func(w io.Writer) error { return f.CopyTo(ctx, w) })
	if err != nil {
		return fmt.Errorf("%s: %w", f.Label, err)
	}
	return nil
}

// holds tells whether f stands in s with the right content. Whatever keeps it from being read counts as no.
func (s store) holds(ctx context.Context, f content.File) bool {
	path := s.path(f.Digest)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return false
	}
	f.Open = func() (io.ReadCloser, error) { return os.Open(path) }
	return f.CopyTo(ctx, io.Discard) == nil
}

// files lists what an image or index in s consists of, as far as its manifests can be read. go-containerregistry could do
// so, but not in a layout in which another tool has listed a digest that it does not know. Damaged indexes
// could list each other: depth bounds how deep it goes.
func (s store) files(d v1.Descriptor, where string, depth int) ([]content.File, error) {
	all := []content.File{{Digest: d.Digest, Size: d.Size, Label: where}}
	var parts struct {
		Manifests []v1.Descriptor `json:"manifests"`
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
	}
	if !d.MediaType.IsIndex() && !d.MediaType.IsImage() {
		return all, nil
	}
	if d.Size > manifestLimit || depth == 0 {
		return nil, fmt.Errorf("%s: %s is too large or too deep", where, d.Digest)
	}
	raw, err := os.ReadFile(s.path(d.Digest))
	if err == nil {
		err = json.Unmarshal(raw, &parts)
	}
	if err != nil {
		return nil, err
	}
	for _, m := range parts.Manifests {
		inner, err := s.files(m, where, depth-1)
		if err != nil {
			return nil, err
		}
		all = append(all, inner...)
	}
	if parts.Config != nil {
		parts.Layers = append(parts.Layers, *parts.Config)
	}
	for _, l := range parts.Layers {
		if l.MediaType.IsDistributable() {
			all = append(all, content.File{Digest: l.Digest, Size: l.Size, Label: where})
		}
	}
	return all, nil
}

// whole tells whether all files stand in s. Those in known are not looked at again.
func (s store) whole(ctx context.Context, files []content.File, known map[v1.Hash]bool) (bool, error) {
	var missing atomic.Bool
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, f := range files {
		if known[f.Digest] {
			continue
		}
		group.Go(func() error {
			if !missing.Load() && !s.holds(ctx, f) {
				missing.Store(true)
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return !missing.Load(), err
}

// removeTemporary removes what a writer that was stopped has left among the blobs.
func (s store) removeTemporary() error {
	algorithms, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range algorithms {
		if a.IsDir() {
			errs = append(errs, removeTemporary(filepath.Join(s.dir, a.Name())))
		}
	}
	return errors.Join(errs...)
}

// removeTemporary removes what a writer that was stopped has left in dir.
func removeTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// tempFile returns the name of the temporary file for path.
func tempFile(path string) string {
	return filepath.Join(filepath.Dir(path), tempPrefix+filepath.Base(path))
}
