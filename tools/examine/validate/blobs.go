package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// blobFiles are the blobs of an image, wherever Bazel has put them, as an OCI layout would have them.
type blobFiles struct {
	byDigest map[string]string
	// layouts are directories that may have any other blob.
	layouts []string
}

// blobName is the name of a blob in an OCI layout.
func blobName(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

// Open opens a blob. Bazel's sandboxes are made of symbolic links, so these are followed.
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
