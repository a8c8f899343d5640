// Package atomicfile writes files that appear complete or not at all. It writes the content to a temporary file and
// renames that to the destination. If writing fails, it removes the temporary file, and the destination keeps its
// content.
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

// Write replaces the file at path with the content that write writes. Like os.WriteFile, it creates a new file with the
// permissions perm before umask, and keeps the permissions of an existing file. It syncs the content to disk before the
// rename, so that a crash of the machine leaves either the old file or the new one.
func Write(path string, perm os.FileMode, write func(io.Writer) error) error {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text())
	err := create(temp, perm, write, func(f *os.File) error {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			if err := f.Chmod(info.Mode().Perm()); err != nil {
				return err
			}
		}
		return f.Sync()
	})
	if err != nil {
		return err
	}
	return rename(temp, path)
}

// Stage writes a new temporary file with exactly the permissions perm and syncs it to disk. The caller renames it to
// its destination, for example after staging other files, or after choosing the destination by the digest of the
// content. If Stage fails, it leaves no file.
func Stage(temp string, perm os.FileMode, write func(io.Writer) error) error {
	return create(temp, perm, write, func(f *os.File) error {
		if err := f.Chmod(perm); err != nil {
			return err
		}
		return f.Sync()
	})
}

// WriteVia is like Write, but the caller names the temporary file, which must be in the same directory as path. It does
// not sync the content to disk, and always creates the file with the permissions perm before umask. It removes an
// existing file at temp, which no other process may be writing.
func WriteVia(temp, path string, perm os.FileMode, write func(io.Writer) error) error {
	if err := remove(temp); err != nil {
		return err
	}
	if err := create(temp, perm, write, func(*os.File) error { return nil }); err != nil {
		return err
	}
	return rename(temp, path)
}

// create writes a new file and calls finish before it closes the file. If it fails, it removes the file.
func create(temp string, perm os.FileMode, write func(io.Writer) error, finish func(*os.File) error) error {
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = finish(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, remove(temp))
	}
	return nil
}

// rename moves a temporary file to its destination, or removes it if that fails.
func rename(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, remove(temp))
	}
	return nil
}

// remove removes a temporary file, which another process may have removed.
func remove(temp string) error {
	if err := os.Remove(temp); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
