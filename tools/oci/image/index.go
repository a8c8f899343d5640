package image

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// Child is an image of an index and its platform.
type Child struct {
	Platform arch.Platform
	Image    v1.Image
}

// Platform returns the platform of a descriptor. base is as for Config. On Windows it includes the
// version of the base, since Windows only runs images of its own version.
func Platform(p arch.Platform, base *BaseConfig) *v1.Platform {
	if base == nil {
		return descriptorPlatform(p, nil)
	}
	return descriptorPlatform(p, &base.ConfigFile)
}

// descriptorPlatform returns p with the Windows version of a config, which may be nil.
func descriptorPlatform(p arch.Platform, config *v1.ConfigFile) *v1.Platform {
	d := &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
	if config != nil {
		d.OSVersion, d.OSFeatures = config.OSVersion, config.OSFeatures
	}
	return d
}

// IndexManifest returns the bytes of an image index with the descriptors in the given order. Even a
// single child gets an index, so that the kind of what is published does not depend on the number
// of platforms. It is an error to have no child or two children with the same platform; on Windows,
// os.version is part of the platform.
func IndexManifest(children []v1.Descriptor, annotations map[string]string) ([]byte, error) {
	if len(children) == 0 {
		return nil, fmt.Errorf("an image index requires at least one image")
	}
	type key struct {
		arch.Platform
		version string
	}
	seen := map[key]bool{}
	for _, c := range children {
		if c.Platform == nil {
			return nil, fmt.Errorf("descriptor of image %s has no platform", c.Digest)
		}
		p := arch.Canonical(c.Platform.OS, c.Platform.Architecture, c.Platform.Variant)
		k := key{Platform: p}
		if p.OS == "windows" {
			k.version = c.Platform.OSVersion
		}
		if seen[k] {
			return nil, fmt.Errorf("duplicate images for %s in one index", p)
		}
		seen[k] = true
	}
	return marshal("image index", v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: children, Annotations: annotations,
	})
}

// Index returns an image index of the children.
func Index(children []Child, annotations map[string]string) (v1.ImageIndex, error) {
	images := map[v1.Hash]v1.Image{}
	var descriptors []v1.Descriptor
	for _, c := range children {
		raw, err := c.Image.RawManifest()
		if err != nil {
			return nil, fmt.Errorf("reading the manifest of %s: %w", c.Platform, err)
		}
		config, err := c.Image.ConfigFile()
		if err != nil {
			return nil, fmt.Errorf("reading the config of %s: %w", c.Platform, err)
		}
		d := describe(types.OCIManifestSchema1, raw)
		d.Platform = descriptorPlatform(c.Platform, config)
		descriptors = append(descriptors, d)
		images[d.Digest] = c.Image
	}
	return Join(descriptors, images, annotations)
}

// Join returns an image index of existing images, in the order of their descriptors. images holds
// them by digest; none is read.
func Join(descriptors []v1.Descriptor, images map[v1.Hash]v1.Image, annotations map[string]string) (v1.ImageIndex,
	error) {
	i := &index{images: images}
	var err error
	if i.raw, err = IndexManifest(descriptors, annotations); err != nil {
		return nil, err
	}
	i.self = describe(types.OCIImageIndex, i.raw)
	i.manifest = v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: descriptors,
		Annotations: annotations}
	return i, nil
}

type index struct {
	raw      []byte
	self     v1.Descriptor
	manifest v1.IndexManifest
	images   map[v1.Hash]v1.Image
}

func (i *index) MediaType() (types.MediaType, error)       { return types.OCIImageIndex, nil }
func (i *index) Digest() (v1.Hash, error)                  { return i.self.Digest, nil }
func (i *index) Size() (int64, error)                      { return i.self.Size, nil }
func (i *index) IndexManifest() (*v1.IndexManifest, error) { return i.manifest.DeepCopy(), nil }
func (i *index) RawManifest() ([]byte, error)              { return i.raw, nil }
func (i *index) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	return nil, fmt.Errorf("index %s is not part of the image index", h)
}

func (i *index) Image(h v1.Hash) (v1.Image, error) {
	if img, ok := i.images[h]; ok {
		return img, nil
	}
	return nil, fmt.Errorf("image %s is not part of the image index", h)
}
