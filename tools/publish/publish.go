// Package publish takes built image indexes to where they are used: an OCI layout on disk, an archive, a registry, a
// container engine of this machine. Content comes first and names last everywhere: blobs, then manifests, then the
// index by its digest, and only when all of that stands the name that makes it visible. So whatever fails half way
// leaves what was published before as it was.
package publish
