package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openEntry opens a file of the cache. Anything but a regular file is removed and treated as
// missing: a pipe would block, and a symbolic link leads to content that is not from the cache.
func openEntry(file string) (*os.File, error) {
	if err := clear(file); err != nil {
		return nil, err
	}
	return os.Open(file)
}

// clear removes whatever is at the path of a file of the cache unless it is a regular file.
func clear(file string) error {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Mode().IsRegular():
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return fs.ErrNotExist // a file is at the path of its directory
	case err != nil:
		return err
	}
	return os.RemoveAll(file)
}

// Replace moves a file within the cache, replacing the destination.
func (s *Store) Replace(from, to string) error {
	if err := replace(from, to); err != nil {
		return s.failed(err)
	}
	return nil
}

// replace moves a file to its final path, replacing the destination.
func replace(from, to string) error {
	if os.Rename(from, to) == nil {
		return nil
	}
	if err := makeFolder(filepath.Dir(to), true); err != nil {
		return err
	}
	if err := clear(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// makeFolder creates a directory. If ours is set, anything else with that name is removed, except a
// symbolic link to a directory.
func makeFolder(dir string, ours bool) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil || !ours {
		return err
	}
	if info, statErr := os.Lstat(dir); statErr != nil || info.IsDir() {
		return err
	}
	if err := os.Remove(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// attempts is how often an operation is tried if the cache keeps disappearing.
const attempts = 3

// lostError is returned for an operation that failed because files or directories of the cache
// disappeared.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// failed wraps an error of a file operation in the cache.
func (s *Store) failed(err error) error {
	err = &UnusableError{s.dir, err}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &lostError{err}
	}
	return err
}

// again repeats an operation that failed because the cache was removed in the meantime.
func (s *Store) again(operation func() error) error {
	for n := 1; ; n++ {
		err := operation()
		var lost *lostError
		if !errors.As(err, &lost) {
			return err
		}
		if n == attempts {
			return fmt.Errorf("%w; it was removed %d times during one operation", lost.error, n)
		}
		if err := s.prepare(); err != nil {
			return &UnusableError{s.dir, err}
		}
	}
}
