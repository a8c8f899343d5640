// Package cache stores things that can be made again: blobs by digest, small records by key, and folders that other
// packages manage. Any number of processes may use one cache at a time, any of them may be killed at any moment, and
// the cache may be damaged or removed while it is in use. Everything read is checked. Whatever fails its check is
// removed and counts as missing, so that damage costs time and never changes a result.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Store is a cache folder.
type Store struct{ dir string }

// Open returns the cache in dir and creates the folder if it is missing.
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

// Dir returns the folder of the cache.
func (s *Store) Dir() string { return s.dir }

// prepare creates the folders of the cache. It is called again when a folder has disappeared.
func (s *Store) prepare() error {
	for _, d := range []string{s.dir, s.path("tmp"), s.path("blobs"), s.path("blobs", "sha256"), s.path("records")} {
		if err := makeFolder(d, d != s.dir); err != nil {
			return err
		}
	}
	return nil
}

// UnusableError is returned for a folder that cannot be used as a cache.
type UnusableError struct {
	Dir string
	Err error
}

func (e *UnusableError) Error() string {
	return fmt.Sprintf("cache %s cannot be used: %v", e.Dir, e.Err)
}

// Unwrap returns the reason.
func (e *UnusableError) Unwrap() error { return e.Err }

// Hint says where else the cache can be.
func (e *UnusableError) Hint() string { return "set MULTIARCH_CACHE to a folder that can be written" }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// Folder returns a folder whose files the caller manages, such as the outputs of a compiler. It is created if it is
// missing.
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

// Write creates a blob: write passes its content to w and returns the SHA-256 of exactly these bytes, which every writer
// of layers computes anyway. The whole blob is in the store once Write returns. write is called again if the cache was
// removed in the meantime.
func (s *Store) Write(write func(w io.Writer) (v1.Hash, error)) (h v1.Hash, err error) {
	err = s.again(func() error {
		h, err = s.write(write)
		return err
	})
	return h, err
}

func (s *Store) write(write func(w io.Writer) (v1.Hash, error)) (v1.Hash, error) {
	f, err := os.CreateTemp(s.path("tmp"), "blob-")
	if err != nil {
		return v1.Hash{}, s.failed(err)
	}
	defer os.Remove(f.Name()) // fails once it has been renamed
	h, err := write(f)
	if err != nil {
		return v1.Hash{}, errors.Join(err, f.Close())
	}
	return h, s.commit(f, s.blob(h))
}

// commit makes a temporary file durable and moves it to where it belongs.
func (s *Store) commit(f *os.File, to string) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return s.failed(err)
	}
	if err := replace(f.Name(), to); err != nil {
		return s.failed(err)
	}
	return nil
}

// Check reads a blob and reports whether it has the content that its digest promises. A damaged blob is removed.
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

// intact reads an open blob to its end. A damaged one is removed.
func (s *Store) intact(f *os.File, h v1.Hash) bool {
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil || hashOf(sum) != h {
		_ = os.RemoveAll(f.Name())
		return false
	}
	return true
}

// Has reports whether a blob of this size is there, without reading it.
func (s *Store) Has(h v1.Hash, size int64) bool {
	info, err := os.Lstat(s.blob(h))
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false
	}
	used(s.blob(h))
	return true
}

// Blob opens a blob without checking its bytes: see Check. The error is fs.ErrNotExist if the blob is missing.
func (s *Store) Blob(h v1.Hash) (io.ReadCloser, error) {
	f, err := openEntry(s.blob(h))
	if err != nil {
		return nil, fmt.Errorf("cached blob %s: %w", h, err)
	}
	return f, nil
}

// OpenChecked opens a blob whose bytes have been checked. What it returns stays valid if the cache is removed.
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
