package content

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// PlatformError is returned if exactly one image of an index is needed, and none runs on Want, or Want is zero and the
// index has several.
type PlatformError struct {
	Image string
	Want  arch.Platform
	Have  []arch.Platform
}

func (e *PlatformError) Error() string {
	if e.Want == (arch.Platform{}) {
		return fmt.Sprintf("%s: one platform is needed, and the image has %d", e.Image, len(e.Have))
	}
	return fmt.Sprintf("%s: no image for %s", e.Image, e.Want)
}

// Hint names the platforms that exist.
func (e *PlatformError) Hint() string {
	names := make([]string, len(e.Have))
	for i, p := range e.Have {
		names[i] = p.String()
	}
	return "choose one with --platform: " + strings.Join(names, ", ")
}

// PlatformOf returns the platform of a descriptor, zero if it has none.
func PlatformOf(d v1.Descriptor) arch.Platform {
	if d.Platform == nil {
		return arch.Platform{}
	}
	return arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
}

// PlatformImages returns the entries of an index that are images with a platform, and these platforms. It skips other
// entries, such as BuildKit's attestations with the platform unknown/unknown.
func PlatformImages(image Image) ([]v1.Descriptor, []arch.Platform, error) {
	list, err := image.Index.IndexManifest()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: reading the index: %w", image.Name, err)
	}
	var descriptors []v1.Descriptor
	var platforms []arch.Platform
	for _, d := range list.Manifests {
		if d.MediaType.IsImage() && d.Platform != nil && manifest.IsImage(d) {
			descriptors, platforms = append(descriptors, d), append(platforms, PlatformOf(d))
		}
	}
	return descriptors, platforms, nil
}

// Pick returns the image of the index that a machine of the platform want runs. If want is zero, the index must have
// a single image.
func Pick(image Image, want arch.Platform) (v1.Image, arch.Platform, error) {
	descriptors, have, err := PlatformImages(image)
	if err != nil {
		return nil, arch.Platform{}, err
	}
	chosen := arch.BestMatch(want, have)
	if want == (arch.Platform{}) && len(have) == 1 {
		chosen = 0
	}
	if chosen < 0 {
		return nil, arch.Platform{}, &PlatformError{image.Name, want, have}
	}
	img, err := image.Index.Image(descriptors[chosen].Digest)
	if err != nil {
		return nil, arch.Platform{}, fmt.Errorf("%s, %s: opening the image: %w", image.Name, have[chosen], err)
	}
	return img, have[chosen], nil
}
