package join

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// These limits are far above real indexes. They bound the work that a hostile index can cause.
const (
	depthLimit = 4    // indexes in indexes
	childLimit = 1000 // images of a source
)

// attests returns the digest of the image that an attestation describes, or "" for other entries.
func attests(d v1.Descriptor) string {
	subject, _ := manifest.Attestation(d)
	return subject
}
