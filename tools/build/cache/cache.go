// Package cache stores reproducible results: blobs by digest, small records by key, and directories
// managed by other packages. Several processes may use a cache at the same time, and may be killed
// at any moment; the cache may be damaged or removed while in use. Everything is verified when
// read. Damaged entries are removed and treated as missing, so that damage costs time but never
// changes a result.
package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
)

// Store is a cache directory.
type Store struct{ dir string }

// Open returns the cache in dir, which it creates if necessary.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	s := &Store{dir}
	if err := s.prepare(); err != nil {
		return nil, &UnusableError{dir, err}
	}
	s.trim(time.Now())
	return s, nil
}

// Dir returns the directory of the cache.
func (s *Store) Dir() string { return s.dir }

// prepare creates the directories of the cache. It is called again if one has disappeared.
func (s *Store) prepare() error {
	for _, d := range []string{s.dir, s.path("tmp"), s.path("blobs"), s.path("blobs", "sha256"), s.path("records")} {
		if err := makeFolder(d, d != s.dir); err != nil {
			return err
		}
	}
	return nil
}

// UnusableError is returned for a directory that cannot be used as a cache.
type UnusableError struct {
	Dir string
	Err error
}

func (e *UnusableError) Error() string {
	return fmt.Sprintf("cache %s is not usable: %v", e.Dir, e.Err)
}

// Unwrap returns the cause.
func (e *UnusableError) Unwrap() error { return e.Err }

// Hint returns how to select another directory.
func (e *UnusableError) Hint() string { return "set MULTIARCH_CACHE to a writable directory" }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// Folder returns a directory whose files the caller manages, such as compiler output. It is created
// if necessary.
func (s *Store) Folder(elem ...string) (string, error) {
	dir := s.dir
	for _, e := range elem {
		dir = filepath.Join(dir, e)
		if err := makeFolder(dir, true); err != nil {
			return "", &UnusableError{s.dir, err}
		}
	}
	used(dir)
	return dir, nil
}

// Write creates a blob: write passes the content to w and returns its SHA-256, which callers
// compute anyway. When Write returns, the store has the complete blob. write is called again if the
// cache was removed in the meantime.
func (s *Store) Write(write func(w io.Writer) (v1.Hash, error)) (h v1.Hash, err error) {
	err = s.again(func() error {
		h, err = s.write(write)
		return err
	})
	return h, err
}

func (s *Store) write(write func(w io.Writer) (v1.Hash, error)) (v1.Hash, error) {
	temp := s.path("tmp", "blob-"+rand.Text())
	var h v1.Hash
	var writeErr error
	err := atomicfile.Stage(temp, 0o600, func(w io.Writer) error {
		h, writeErr = write(w)
		return writeErr
	})
	switch {
	case writeErr != nil:
		return v1.Hash{}, err
	case err != nil:
		return v1.Hash{}, s.failed(err)
	}
	return h, s.move(temp, s.blob(h))
}

// move moves a temporary file to its final path, or removes it if that fails.
func (s *Store) move(temp, to string) error {
	if err := replace(temp, to); err != nil {
		_ = os.Remove(temp)
		return s.failed(err)
	}
	return nil
}

// Check reports whether a blob matches its digest. A damaged blob is removed.
func (s *Store) Check(h v1.Hash) bool {
	f, err := openEntry(s.blob(h))
	if err != nil {
		return false
	}
	defer f.Close()
	if !s.intact(f, h) {
		return false
	}
	used(f.Name())
	return true
}

// intact reports whether an open blob matches its digest. A damaged blob is removed.
func (s *Store) intact(f *os.File, h v1.Hash) bool {
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil || hashOf(sum) != h {
		_ = os.RemoveAll(f.Name())
		return false
	}
	return true
}

// Has reports whether a blob of this size exists, without reading it.
func (s *Store) Has(h v1.Hash, size int64) bool {
	info, err := os.Lstat(s.blob(h))
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false
	}
	used(s.blob(h))
	return true
}

// Blob opens a blob without verifying it; see Check. The error is fs.ErrNotExist if the blob is
// missing.
func (s *Store) Blob(h v1.Hash) (io.ReadCloser, error) {
	f, err := openEntry(s.blob(h))
	if err != nil {
		return nil, fmt.Errorf("cached blob %s: %w", h, err)
	}
	return f, nil
}

// OpenChecked opens a verified blob. The result stays valid if the cache is removed.
func (s *Store) OpenChecked(h v1.Hash) (io.ReadCloser, bool) {
	f, err := openEntry(s.blob(h))
	if err != nil {
		return nil, false
	}
	if s.intact(f, h) {
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			used(f.Name())
			return f, true
		}
	}
	_ = f.Close()
	return nil, false
}

func (s *Store) blob(h v1.Hash) string { return s.path("blobs", h.Algorithm, h.Hex) }

func hashOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
