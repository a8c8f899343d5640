package join

import (
	"errors"
	"maps"
	"reflect"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// distinct refuses images of one source that are for the same platform and that nothing tells apart: neither their
// entries, by annotations such as io.github.containers.compression.zstd, nor the compression of their layers.
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

// sameEntry reports whether two entries, as their index has them, differ in nothing that a runtime or tool could choose
// by.
func sameEntry(a, b Child) bool {
	x, y := a.from.Descriptor, b.from.Descriptor
	return reflect.DeepEqual(x.Platform, y.Platform) && maps.Equal(x.Annotations, y.Annotations)
}

// compression is the media type of the last layer of an image, which says how it is compressed: the first ones may be
// those of a base.
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
