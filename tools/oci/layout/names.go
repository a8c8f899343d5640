package layout

import (
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The files of an OCI image layout (image spec, "Image Layout").
const (
	MarkerFile = "oci-layout"
	IndexFile  = "index.json"
	BlobsDir   = "blobs"
	// Marker is the content of MarkerFile.
	Marker = `{"imageLayoutVersion":"1.0.0"}`
)

// The files that multiarch adds to its layouts.
const (
	// LockFile serializes writers. Only layouts that multiarch writes have it.
	LockFile = ".multiarch.lock"
	// recordFile lists what multiarch wrote.
	recordFile = ".multiarch.json"
	// tempPrefix begins the names of unfinished files. The final name follows, so there is at most one per file, written
	// by the holder of the lock.
	tempPrefix = ".multiarch-tmp-"
)

// NameAnnotation is the annotation that names an entry of a layout, as in "oci:dist:hello" (image spec,
// "Pre-Defined Annotation Keys").
const NameAnnotation = "org.opencontainers.image.ref.name"

// BlobPath returns the path of a blob in a layout, with slashes.
func BlobPath(h v1.Hash) string { return path.Join(BlobsDir, h.Algorithm, h.Hex) }
