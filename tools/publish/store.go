package publish

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// temporary begins the names of files that are being written. What follows is the final name, so there is never more
// than one of a kind; only the holder of the layout's lock writes any.
const temporary = ".multiarch-tmp-"

// store is the directory of a layout's blobs: in a directory for each algorithm, named by their digests' digits.
type store struct{ dir string }

func (s store) path(h v1.Hash) string { return filepath.Join(s.dir, h.Algorithm, h.Hex) }

// lacking returns the files that s does not hold.
func (s store) lacking(ctx context.Context, files []file) ([]file, error) {
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
	var lacking []file
	for i, f := range files {
		if !held[i] {
			lacking = append(lacking, f)
		}
	}
	return lacking, nil
}

// put writes f.
func (s store) put(ctx context.Context, f file) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := s.path(f.digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := writeFile(filepath.Join(filepath.Dir(path), temporary+f.digest.Hex), path, func(w *os.File) error {
		return copyVerified(ctx, w, f)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", f.where, err)
	}
	return nil
}

// holds tells whether f stands in s with the right content. Whatever keeps it from being read counts as no.
func (s store) holds(ctx context.Context, f file) bool {
	path := s.path(f.digest)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || info.Size() != f.size {
		return false
	}
	f.open = func() (io.ReadCloser, error) { return os.Open(path) }
	return copyVerified(ctx, io.Discard, f) == nil
}

// files lists what an image or index in s consists of, as far as its manifests can be read. go-containerregistry could do
// so, but not in a layout in which another tool has listed a digest that it does not know. Damaged indexes
// could list each other: depth bounds how deep it goes.
func (s store) files(d v1.Descriptor, where string, depth int) ([]file, error) {
	all := []file{{digest: d.Digest, size: d.Size, where: where}}
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
			all = append(all, file{digest: l.Digest, size: l.Size, where: where})
		}
	}
	return all, nil
}

// whole tells whether all files stand in s. Those in known are not looked at again.
func (s store) whole(ctx context.Context, files []file, known map[v1.Hash]bool) (bool, error) {
	var missing atomic.Bool
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, f := range files {
		if known[f.digest] {
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
		if strings.HasPrefix(e.Name(), temporary) {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// writeFile lets write fill the file temp and renames it to path. On an error there is no temp, and path is what it
// was.
func writeFile(temp, path string, write func(*os.File) error) (err error) {
	// What stands there was left by a writer that was killed, and could be anything.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	if err := errors.Join(write(w), w.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// copyVerified copies the content of f to w, in pieces between which it looks at ctx, and fails where the content is
// not what the digest and size say.
func copyVerified(ctx context.Context, w io.Writer, f file) (err error) {
	source, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	sum, err := v1.Hasher(f.digest.Algorithm)
	if err != nil {
		return err
	}
	// One byte more than there should be, to notice it.
	n, err := io.CopyBuffer(io.MultiWriter(sum, w), &io.LimitedReader{R: stoppable{ctx, source}, N: f.size + 1}, make([]byte, 64<<10))
	switch {
	case err != nil:
		return err
	case n > f.size:
		return fmt.Errorf("the content is longer than the %d bytes announced", f.size)
	case n < f.size:
		return fmt.Errorf("the content ends after %d of %d bytes", n, f.size)
	case hex.EncodeToString(sum.Sum(nil)) != f.digest.Hex:
		return fmt.Errorf("the content does not have the digest %s", f.digest)
	}
	return nil
}

// stoppable is a reader that fails when ctx has ended.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
