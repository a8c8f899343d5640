package join

import (
	"errors"
	"maps"
	"reflect"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// distinct returns an error for images of one source for the same platform, unless they differ in their entries (by
// annotations such as io.github.containers.compression.zstd) or in the compression of their layers.
func distinct(children []Child) error {
	var wrong []error
	for i, a := range children {
		for _, b := range children[:i] {
			if a.Descriptor.Digest != b.Descriptor.Digest && clash(a, b) && sameEntry(a, b) &&
				compression(a) == compression(b) {
				wrong = append(wrong, &DuplicateError{a.Platform(), b.name, a.name, false})
			}
		}
	}
	return errors.Join(wrong...)
}

// sameEntry reports whether two index entries have the same platform and annotations, so that no tool can choose
// between them.
func sameEntry(a, b Child) bool {
	x, y := a.from.Descriptor, b.from.Descriptor
	return reflect.DeepEqual(x.Platform, y.Platform) && maps.Equal(x.Annotations, y.Annotations)
}

// compression returns the compression in the media type of the last layer of an image. The first layers may be those of
// a base with another compression.
func compression(c Child) string {
	if c.Image == nil {
		return ""
	}
	m, err := c.Image.Manifest()
	if err != nil || len(m.Layers) == 0 {
		return ""
	}
	return suffix(m.Layers[len(m.Layers)-1])
}

func suffix(d v1.Descriptor) string {
	text := string(d.MediaType)
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '+' || text[i] == '.' {
			return text[i+1:]
		}
	}
	return text
}
