// Package cache is a folder of things that can be made again: blobs by their digest, and small records by a key. Any
// number of processes may use one folder at a time, and any of them may be killed at any moment: what is read is
// checked, and what does not check is removed and counts as missing.
package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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

// Open returns the cache in dir, which is created where it is missing.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	s := &Store{dir}
	for _, d := range []string{s.path("tmp"), s.path("blobs", "sha256"), s.path("records")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, &UnusableError{dir, err}
		}
	}
	s.trim(time.Now())
	return s, nil
}

// UnusableError is returned for a folder that cannot be used.
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

// Folder returns a folder for files that another program keeps up to date, such as the outputs of a compiler. It is
// created where it is missing.
func (s *Store) Folder(elem ...string) (string, error) {
	dir := s.path(elem...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", &UnusableError{s.dir, err}
	}
	used(dir)
	return dir, nil
}

// Write creates a blob: write is called with where its bytes go, and the blob is there, whole, once Write returns. The
// digest is computed on the way.
func (s *Store) Write(write func(w io.Writer) error) (v1.Hash, error) {
	f, err := os.CreateTemp(s.path("tmp"), "blob-")
	if err != nil {
		return v1.Hash{}, &UnusableError{s.dir, err}
	}
	defer os.Remove(f.Name()) // fails once it has been renamed
	sum := sha256.New()
	err = write(io.MultiWriter(f, sum))
	if err = errors.Join(err, f.Close()); err != nil {
		return v1.Hash{}, err
	}
	h := hashOf(sum)
	if err := os.Rename(f.Name(), s.blob(h)); err != nil {
		return v1.Hash{}, &UnusableError{s.dir, err}
	}
	return h, nil
}

// Check tells whether the blob is there with the bytes that its digest promises. It reads all of them. A blob that is
// damaged is removed.
func (s *Store) Check(h v1.Hash) bool {
	f, err := os.Open(s.blob(h))
	if err != nil {
		return false
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil || hashOf(sum) != h {
		_ = os.Remove(f.Name())
		return false
	}
	used(f.Name())
	return true
}

// Has tells whether a blob of this size is there, without reading it.
func (s *Store) Has(h v1.Hash, size int64) bool {
	info, err := os.Stat(s.blob(h))
	if err != nil || info.Size() != size {
		return false
	}
	used(s.blob(h))
	return true
}

// Blob opens a blob. Its bytes are not checked: see Check.
func (s *Store) Blob(h v1.Hash) (io.ReadCloser, error) {
	f, err := os.Open(s.blob(h))
	if err != nil {
		return nil, fmt.Errorf("cached blob %s: %w", h, err)
	}
	return f, nil
}

func (s *Store) blob(h v1.Hash) string { return s.path("blobs", h.Algorithm, h.Hex) }

// Put stores v, as JSON, under a kind and a key.
func (s *Store) Put(kind, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("caching a %s: %w", kind, err)
	}
	sum := sha256.Sum256(value)
	f, err := os.CreateTemp(s.path("tmp"), "record-")
	if err != nil {
		return &UnusableError{s.dir, err}
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(append([]byte(hex.EncodeToString(sum[:])), '\n'), value...))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.record(kind, key))
	}
	if err != nil {
		return &UnusableError{s.dir, err}
	}
	return nil
}

// Get reads into v what was stored under a kind and a key. It returns false where there is nothing, or where what is
// there is damaged.
func (s *Store) Get(kind, key string, v any) bool {
	file := s.record(kind, key)
	content, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	want, value, ok := bytes.Cut(content, []byte("\n"))
	sum := sha256.Sum256(value)
	if !ok || string(want) != hex.EncodeToString(sum[:]) || json.Unmarshal(value, v) != nil {
		_ = os.Remove(file)
		return false
	}
	used(file)
	return true
}

// Forget removes what was stored under a kind and a key.
func (s *Store) Forget(kind, key string) { _ = os.Remove(s.record(kind, key)) }

// record names the file of a record. Keys may hold anything, so the file is named by their hash.
func (s *Store) record(kind, key string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + key))
	return s.path("records", kind+"-"+hex.EncodeToString(sum[:]))
}

func hashOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
