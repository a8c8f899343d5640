package join

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/internal/format"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// annotate adds annotations to images and their entries.
func (b *base) annotate(o Options, j *Joined) error {
	for _, a := range slices.Concat(o.EntryAnnotations, o.ManifestAnnotations) {
		if a.Platform != nil && !slices.ContainsFunc(b.children, a.applies) {
			return &AbsentError{"", written(*a.Platform), names(b.children)}
		}
	}
	changed := map[string]bool{}
	for i := range b.children {
		c := &b.children[i]
		entry, manifest := chosen(o.EntryAnnotations, *c), chosen(o.ManifestAnnotations, *c)
		before := c.Descriptor.Digest
		if err := b.annotateManifest(c, manifest); err != nil {
			return err
		}
		if c.Descriptor.Digest != before {
			changed[before.String()] = true
		}
		if err := c.annotateEntry(entry); err != nil {
			return err
		}
	}
	n := len(b.children)
	b.children = slices.DeleteFunc(b.children, func(c Child) bool { return changed[c.attests] })
	if n -= len(b.children); n > 0 {
		j.Notes = append(j.Notes, fmt.Sprintf("skipped %s of images whose digests changed with their annotations",
			format.Count(n, "attestation")))
	}
	return nil
}

// applies reports whether an annotation is for a child.
func (a PlatformAnnotation) applies(c Child) bool {
	return c.image() != nil && (a.Platform == nil || matches(c.image(), *a.Platform))
}

func chosen(all []PlatformAnnotation, c Child) map[string]string {
	found := map[string]string{}
	for _, a := range all {
		if a.applies(c) {
			found[a.Key] = a.Value
		}
	}
	return found
}

func (c *Child) annotateEntry(add map[string]string) error {
	all := map[string]string{}
	maps.Copy(all, c.Descriptor.Annotations)
	if maps.Copy(all, add); maps.Equal(all, c.Descriptor.Annotations) || len(all) == 0 {
		return nil
	}
	c.Descriptor.Annotations = all
	if c.Source >= 0 {
		return nil
	}
	var err error
	c.from, err = c.from.With("annotations", all)
	return err
}

// annotateManifest adds annotations to an image, which changes its digest.
func (b *base) annotateManifest(c *Child, add map[string]string) error {
	if len(add) == 0 {
		return nil
	}
	if c.Descriptor.MediaType != types.OCIManifestSchema1 {
		return fmt.Errorf("%s: %s: a manifest of type %s cannot have annotations", c.name, c.Platform(),
			c.Descriptor.MediaType)
	}
	if c.Image == nil {
		img, err := b.source.Index.Image(c.Descriptor.Digest)
		if err != nil {
			return fmt.Errorf("%s: opening the image %s: %w", c.name, c.Descriptor.Digest, err)
		}
		c.Image = img
	}
	raw, err := c.Image.RawManifest()
	if err != nil {
		return fmt.Errorf("%s: reading the manifest %s: %w", c.name, c.Descriptor.Digest, err)
	}
	m, err := indexjson.ParseObject(raw)
	all := map[string]string{}
	if old := json.RawMessage(nil); err == nil {
		if old = m.Get("annotations"); old != nil {
			err = json.Unmarshal(old, &all)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: reading the manifest %s: %w", c.name, c.Descriptor.Digest, err)
	}
	before := maps.Clone(all)
	if maps.Copy(all, add); maps.Equal(before, all) {
		return nil
	}
	if err := m.Set("annotations", all); err != nil {
		return err
	}
	img := annotated{c.Image, m.Bytes()}
	digest, size, err := sum("sha256", img.raw)
	if err != nil {
		return err
	}
	c.Image, c.Descriptor.Digest, c.Descriptor.Size = img, digest, size
	if c.Source < 0 {
		if c.from, err = c.from.With("digest", digest); err == nil {
			c.from, err = c.from.With("size", size)
		}
	}
	return err
}

// annotated is an image with another manifest.
type annotated struct {
	image
	raw []byte
}

// image is an alias, so that the embedded field is not exported.
type image = v1.Image

func (a annotated) RawManifest() ([]byte, error) { return a.raw, nil }
func (a annotated) Size() (int64, error)         { return int64(len(a.raw)), nil }

func (a annotated) Digest() (v1.Hash, error) {
	h, _, err := sum("sha256", a.raw)
	return h, err
}

func (a annotated) Manifest() (*v1.Manifest, error) {
	var m v1.Manifest
	err := json.Unmarshal(a.raw, &m)
	return &m, err
}
