package main

import (
	"io/fs"
	"os"
	"path/filepath"
)

// blobFiles presents the blobs of an image, which Bazel keeps in separate files, as an OCI layout.
type blobFiles struct {
	byDigest map[string]string
	// layouts are directories that are searched for other blobs.
	layouts []string
}

// Open opens a blob. It follows symbolic links, because Bazel's sandboxes consist of them.
func (f blobFiles) Open(name string) (fs.File, error) {
	if file, ok := f.byDigest[name]; ok {
		return os.Open(file)
	}
	for _, dir := range f.layouts {
		if file, err := os.Open(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			return file, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
