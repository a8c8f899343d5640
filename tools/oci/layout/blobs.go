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

// blobStore is the blobs directory of a layout. It has one directory per algorithm, with files named by digest.
type blobStore struct{ dir string }

func (s blobStore) path(h v1.Hash) string { return filepath.Join(s.dir, h.Algorithm, h.Hex) }

// missing returns the files that s does not have.
func (s blobStore) missing(ctx context.Context, files []content.File) ([]content.File, error) {
	has := make([]bool, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i, f := range files {
		group.Go(func() error {
			has[i] = s.has(ctx, f)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var missing []content.File
	for i, f := range files {
		if !has[i] {
			missing = append(missing, f)
		}
	}
	return missing, nil
}

// put writes f.
func (s blobStore) put(ctx context.Context, f content.File) error {
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

// has reports whether s has f with the right content. An unreadable file counts as missing.
func (s blobStore) has(ctx context.Context, f content.File) bool {
	path := s.path(f.Digest)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return false
	}
	f.Open = func() (io.ReadCloser, error) { return os.Open(path) }
	return f.CopyTo(ctx, io.Discard) == nil
}

// files lists what an image or index in s consists of. go-containerregistry cannot do this if another tool has listed a
// digest of an unknown algorithm. depth limits the recursion, because damaged indexes could refer to each other.
func (s blobStore) files(d v1.Descriptor, where string, depth int) ([]content.File, error) {
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
		return nil, fmt.Errorf("%s: %s is too large or nested too deeply", where, d.Digest)
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

// hasAll reports whether s has all files. It does not read those in known.
func (s blobStore) hasAll(ctx context.Context, files []content.File, known map[v1.Hash]bool) (bool, error) {
	var missing atomic.Bool
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, f := range files {
		if known[f.Digest] {
			continue
		}
		group.Go(func() error {
			if !missing.Load() && !s.has(ctx, f) {
				missing.Store(true)
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return !missing.Load(), err
}

// removeTemporary removes unfinished blobs of an interrupted call.
func (s blobStore) removeTemporary() error {
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

// removeTemporary removes unfinished files of an interrupted call.
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
