package join

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Nothing real is near these; they bound what an index can make us do.
const (
	depthLimit = 4    // indexes in indexes
	childLimit = 1000 // images of a source
)

// BuildKit marks the attestations of an image by a platform that does not exist, and by annotations:
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
const (
	referenceType   = "vnd.docker.reference.type"
	referenceDigest = "vnd.docker.reference.digest"
)

// attests returns the digest of the image that an entry of an index is an attestation of, "" for other entries. What a
// runtime could choose is an image, whatever its annotations say.
func attests(d v1.Descriptor) string {
	if d.Annotations[referenceType] == "" || d.Platform != nil && d.Platform.OS != "unknown" {
		return ""
	}
	return d.Annotations[referenceDigest]
}

// runs reports whether an entry of an index is an image, or an index of images, that a runtime could start.
func runs(d v1.Descriptor) bool {
	unknown := d.Platform != nil && d.Platform.OS == "unknown"
	marked := d.Annotations[referenceType] != "" && d.Platform == nil
	artifact := d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig()
	return (d.MediaType.IsImage() || d.MediaType.IsIndex()) && !unknown && !marked && !artifact
}
