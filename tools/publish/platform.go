package publish

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// PlatformError is returned where one image of an index is needed and the choice fails: there is none that Want runs,
// or several and Want is not set.
type PlatformError struct {
	Image string
	Want  arch.Platform // zero where none was asked for
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

// platformOf is the platform that d is said to be for, zero where nothing is said.
func platformOf(d v1.Descriptor) arch.Platform {
	if d.Platform == nil {
		return arch.Platform{}
	}
	return arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
}

// runnable returns the images of an index that say which platform they are for, and the platforms beside them. What
// stands for something else, such as BuildKit's attestations with the platform unknown/unknown, is left out.
func runnable(image Image) ([]v1.Descriptor, []arch.Platform, error) {
	list, err := image.Index.IndexManifest()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: reading the index: %w", image.Name, err)
	}
	var descriptors []v1.Descriptor
	var platforms []arch.Platform
	for _, d := range list.Manifests {
		if d.MediaType.IsImage() && d.Platform != nil && d.Platform.OS != "unknown" {
			descriptors, platforms = append(descriptors, d), append(platforms, platformOf(d))
		}
	}
	return descriptors, platforms, nil
}

// pick returns the image of the index that a machine of the platform want would run, or the only one where want is
// zero.
func pick(image Image, want arch.Platform) (v1.Image, arch.Platform, error) {
	descriptors, have, err := runnable(image)
	if err != nil {
		return nil, arch.Platform{}, err
	}
	chosen := arch.Best(want, have)
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
