// Package publish takes built image indexes to where they are used: an OCI layout on disk, an archive, a registry, a
// container engine of this machine. Content comes first and names last everywhere: blobs, then manifests, then the
// index by its digest, and only when all of that stands the name that makes it visible. So whatever fails half way
// leaves what was published before as it was.
package publish

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image is a built image index and its name in multiarch.yaml.
type Image struct {
	Name  string
	Index v1.ImageIndex
	// Present are the digests, as they are written, of entries of Index that are where it goes already. They are neither
	// opened nor checked: they may be anything that other tools list.
	Present map[string]bool
	// Annotations are those of its entry in a layout.
	Annotations map[string]string
}

// nameAnnotation is what names an entry of an OCI layout (image spec, "Annotations"): oci:dist:hello.
const nameAnnotation = "org.opencontainers.image.ref.name"

// checkNames refuses images that could not be told apart.
func checkNames(images []Image) error {
	seen := map[string]bool{}
	for _, i := range images {
		if i.Name == "" {
			return fmt.Errorf("an image has no name")
		}
		if seen[i.Name] {
			return fmt.Errorf("two images are called %s", i.Name)
		}
		seen[i.Name] = true
	}
	return nil
}
