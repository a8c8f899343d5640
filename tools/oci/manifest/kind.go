package manifest

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// BuildKit marks the attestations of an image with a platform that does not exist and with annotations:
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
const (
	// UnknownOS is the operating system of index entries that are not images.
	UnknownOS = "unknown"

	referenceType   = "vnd.docker.reference.type"
	referenceDigest = "vnd.docker.reference.digest"
)

// IsImage reports whether an index entry is an image, or an index of images, that a runtime could select. Attestations,
// signatures and other artifacts are not. An entry with a real platform is an image whatever its annotations are.
func IsImage(d v1.Descriptor) bool {
	if !d.MediaType.IsImage() && !d.MediaType.IsIndex() {
		return false
	}
	// Some tools set the artifact type of an image to the media type of its config.
	if d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig() {
		return false
	}
	if d.Platform != nil {
		return d.Platform.OS != UnknownOS
	}
	return d.Annotations[referenceType] == ""
}

// Attestation reports whether an index entry is an attestation that BuildKit added. The subject is the digest of the
// image that it describes, or "" if the entry does not name one.
func Attestation(d v1.Descriptor) (subject string, ok bool) {
	if d.Annotations[referenceType] == "" || d.Platform != nil && d.Platform.OS != UnknownOS {
		return "", false
	}
	return d.Annotations[referenceDigest], true
}
