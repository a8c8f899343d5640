// Package atomicfile writes files that appear complete or not at all. Content goes to a temporary file beside its
// destination, which then replaces the destination by a rename. If writing fails, the temporary file is removed and the
// destination keeps its content.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path with what write produces. As with os.WriteFile, a new file gets the permissions perm
// before umask, and an existing file keeps its own. The content reaches the disk before the rename, so that a crash of
// the machine leaves either the old file or the new one.
func Write(path string, perm os.FileMode, write func(io.Writer) error) error {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	return replace(f, path, write, func() error {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			if err := f.Chmod(info.Mode().Perm()); err != nil {
				return err
			}
		}
		return f.Sync()
	})
}

// WriteVia is Write through a temporary file that the caller names, in the same directory as path. It does not wait for
// the disk, and the file always gets the permissions perm before umask. An existing file called temp is removed first:
// no other process may be writing it.
func WriteVia(temp, path string, perm os.FileMode, write func(io.Writer) error) error {
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	return replace(f, path, write, func() error { return nil })
}

// replace writes f, calls finish and renames f to path.
func replace(f *os.File, path string, write func(io.Writer) error, finish func() error) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = finish()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
