package join

import (
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// base is the index that images are added to.
type base struct {
	source   *Source
	document *indexjson.Index // nil for a new index, or if the source is an image
	children []Child
}

// openBase reads Options.Onto. It opens only images without a platform in the index.
func openBase(o Options) (*base, error) {
	b := &base{source: o.Onto}
	if o.Onto == nil {
		return b, nil
	}
	if o.Onto.Index == nil {
		c := readSource(*o.Onto, -1, Options{Missing: o.Missing})
		b.children = c.children
		return b, c.err
	}
	raw, err := o.Onto.Index.RawManifest()
	if err == nil {
		b.document, err = indexjson.Parse(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: reading the index: %w", o.Onto.Name, err)
	}
	for _, e := range b.document.Entries {
		c := Child{Source: -1, Descriptor: e.Descriptor, name: o.Onto.Name, from: e, missing: o.Missing}
		if e.Err == nil {
			c.attests = attests(e.Descriptor)
		}
		image := e.Err == nil && c.attests == "" && manifest.IsImage(e.Descriptor) && e.Descriptor.MediaType.IsImage()
		if p := e.Descriptor.Platform; image && (p == nil || p.OS == "") {
			open := func() (v1.Image, error) { return o.Onto.Index.Image(e.Descriptor.Digest) }
			found := candidate{Child: c, listed: true, open: open}
			if err := found.resolve(); err != nil {
				return nil, fmt.Errorf("%s: %w", o.Onto.Name, err)
			}
			c.platform = found.own // nil if the image does not exist or has no platform; the entry stays
		}
		b.children = append(b.children, c)
	}
	return b, nil
}

// remove deletes the images for platforms, and their attestations.
func (b *base) remove(platforms []v1.Platform) error {
	for _, p := range platforms {
		found := slices.ContainsFunc(b.children, func(c Child) bool { return c.image() != nil && matches(c.image(), p) })
		if !found {
			return &AbsentError{b.source.name(), written(p), names(b.children)}
		}
	}
	b.drop(func(c Child) bool {
		return c.image() != nil && slices.ContainsFunc(platforms, func(p v1.Platform) bool {
			return matches(c.image(),
				p)
		})
	})
	return nil
}

// drop deletes images, and attestations without an image.
func (b *base) drop(gone func(Child) bool) {
	dropped := map[string]bool{}
	b.children = slices.DeleteFunc(b.children, func(c Child) bool {
		if !gone(c) {
			return false
		}
		dropped[c.Descriptor.Digest.String()] = true
		return true
	})
	for _, c := range b.children {
		if c.attests == "" {
			delete(dropped, c.Descriptor.Digest.String())
		}
	}
	b.children = slices.DeleteFunc(b.children, func(c Child) bool { return dropped[c.attests] })
}

// merge adds entries: images before the first one that follows them in the architecture table, others at the end. It
// replaces existing images only if replace is true.
func (b *base) merge(added []Child, replace bool, j *Joined) error {
	var wrong []error
	for _, c := range added {
		same := func(other Child) bool {
			return other.Descriptor.Digest == c.Descriptor.Digest && other.attests == c.attests &&
				(c.attests != "" || clash(other, c))
		}
		if slices.ContainsFunc(b.children, same) {
			continue
		}
		i := slices.IndexFunc(b.children, func(other Child) bool {
			return clash(other, c) &&
				(other.Source != c.Source)
		})
		switch {
		case i < 0:
		case replace && b.children[i].Source < 0:
			n := len(b.children)
			b.drop(func(other Child) bool { return other.Source < 0 && clash(other, c) })
			if n -= len(b.children); n > 1 {
				j.Notes = append(j.Notes, fmt.Sprintf("%s: replaced %d entries for %s", b.source.name(), n,
					c.Platform()))
			}
		default:
			wrong = append(wrong, &DuplicateError{c.Platform(), b.children[i].name, c.name, b.children[i].Source < 0})
			continue
		}
		b.insert(c)
	}
	return errors.Join(wrong...)
}

func (b *base) insert(c Child) {
	i := len(b.children)
	if c.image() != nil {
		if n := slices.IndexFunc(b.children, func(other Child) bool { return compare(other, c) > 0 }); n >= 0 {
			i = n
		}
	}
	b.children = slices.Insert(b.children, i, c)
}

// present returns the digests of unchanged entries.
func (b *base) present() map[string]bool {
	if b.document == nil {
		return nil
	}
	all := map[string]bool{}
	for _, c := range b.children {
		if _, changed := c.Image.(annotated); c.Source < 0 && !changed {
			all[c.from.Digest] = true
		}
	}
	return all
}

// mediaType returns the media type of the index. A docker manifest list becomes an OCI index if it gets an OCI image.
func (b *base) mediaType(o Options) (types.MediaType, error) {
	if o.Docker {
		return types.DockerManifestList, nil
	}
	if b.source == nil || b.source.Index == nil {
		return types.OCIImageIndex, nil
	}
	old, err := b.source.Index.MediaType()
	if err != nil || old != types.DockerManifestList {
		return old, err
	}
	for _, c := range b.children {
		if c.Source >= 0 && c.Descriptor.MediaType != types.DockerManifestSchema2 {
			return types.OCIImageIndex, nil
		}
	}
	if len(o.Annotations)+len(o.EntryAnnotations) > 0 {
		return types.OCIImageIndex, nil
	}
	return old, nil
}

// Superseded reports whether later images have replaced all images that a join added to onto and that now lacks. It
// returns false if now has the old images of onto instead: then the change was lost.
func Superseded(j *Joined, onto, now *Source) bool {
	before, err1 := openBase(Options{Onto: onto})
	after, err2 := openBase(Options{Onto: now})
	if err1 != nil || err2 != nil {
		return false
	}
	has := func(b *base, h v1.Hash) bool {
		return slices.ContainsFunc(b.children, func(c Child) bool { return c.Descriptor.Digest == h })
	}
	for _, c := range j.Children {
		if c.Source < 0 || c.image() == nil || has(after, c.Descriptor.Digest) {
			continue
		}
		replaced := slices.ContainsFunc(after.children, func(other Child) bool {
			return clash(other, c) &&
				!has(before, other.Descriptor.Digest)
		})
		if !replaced {
			return false
		}
	}
	return true
}
