package index

import (
	"bytes"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// Nothing real is near these; they bound what somebody else's index can make us do.
const (
	depthLimit = 4    // indexes in indexes
	childLimit = 1000 // images of a source
)

// contribution is what a source adds to an index.
type contribution struct {
	children    []Child
	annotations map[string]string
	notes       []string
	err         error
}

// candidate is an image of a source.
type candidate struct {
	Child
	// said is the platform in the index that the image is from, nil where nothing is said.
	said *v1.Platform
	// own is the platform that the image has in the end, or err says why there is none.
	own *v1.Platform
	err error
	// listed tells that an index names it, and not the source itself.
	listed bool
}

// contribute finds the images of a source and their platforms, which strict wants to be in the architecture table.
func contribute(s Source, number int, strict bool) contribution {
	w := walk{source: s, number: number}
	if err := w.start(); err != nil {
		return contribution{err: fmt.Errorf("%s: %w", s.Name, err)}
	}
	c := contribution{annotations: w.annotations}
	if w.left > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%s: left out %d of its entries, which are attestations or other things that do not run", s.Name, w.left))
	}
	var group errgroup.Group
	group.SetLimit(8)
	for i := range w.found {
		group.Go(func() error { return w.found[i].resolve(s.Image == nil) })
	}
	if err := group.Wait(); err != nil {
		return contribution{err: fmt.Errorf("%s: %w", s.Name, err)}
	}
	chosen, err := choose(s, w.found)
	if err != nil {
		return contribution{err: err}
	}
	var wrong []error
	for _, f := range chosen {
		if f.err == nil && strict {
			f.err = known(f)
		}
		if f.err != nil {
			wrong = append(wrong, f.err)
			continue
		}
		if s.Platform != nil && f.said != nil && (f.said.OS != f.own.OS || f.said.Architecture != f.own.Architecture) {
			c.notes = append(c.notes, fmt.Sprintf("%s: is %s from now on, and says itself that it is %s", s.Name, canonical(f.own), canonical(f.said)))
		}
		f.Descriptor.Platform = f.own
		c.children = append(c.children, f.Child)
	}
	if c.err = errors.Join(wrong...); c.err == nil && len(c.children) == 0 {
		c.err = fmt.Errorf("%s: has no image that runs", s.Name)
	}
	return c
}

// walk lists the images of a source.
type walk struct {
	source      Source
	number      int
	annotations map[string]string
	found       []candidate
	left        int // entries left out
}

func (w *walk) start() error {
	if w.source.Image == nil {
		return w.index(w.source.Index, 1)
	}
	raw, err := w.source.Image.RawManifest()
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	mediaType, err := w.source.Image.MediaType()
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	h, size, _ := v1.SHA256(bytes.NewReader(raw)) // reading memory does not fail
	w.add(v1.Descriptor{MediaType: mediaType, Digest: h, Size: size}, w.source.Image)
	return nil
}

func (w *walk) index(index v1.ImageIndex, depth int) error {
	list, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("reading the index: %w", err)
	}
	if depth == 1 {
		w.annotations = list.Annotations
	}
	for _, d := range list.Manifests {
		switch {
		case !runs(d):
			w.left++
		case len(w.found) == childLimit:
			return fmt.Errorf("the index has more than %d images", childLimit)
		case d.MediaType.IsIndex() && depth == depthLimit:
			return fmt.Errorf("more than %d indexes in one another", depthLimit)
		case d.MediaType.IsIndex():
			inner, err := index.ImageIndex(d.Digest)
			if err != nil {
				return fmt.Errorf("opening the index %s: %w", d.Digest, err)
			}
			if err := w.index(inner, depth+1); err != nil {
				return err
			}
		default:
			img, err := index.Image(d.Digest)
			if err != nil {
				return fmt.Errorf("opening the image %s: %w", d.Digest, err)
			}
			w.add(d, img)
		}
	}
	return nil
}

// runs tells whether an entry of an index is something to start. BuildKit marks its attestations by a platform that
// does not exist, and by an annotation:
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
func runs(d v1.Descriptor) bool {
	unknown := d.Platform != nil && d.Platform.OS == "unknown"
	attests := d.Annotations["vnd.docker.reference.type"] != "" && (d.Platform == nil || unknown)
	artifact := d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig()
	return (d.MediaType.IsImage() || d.MediaType.IsIndex()) && !unknown && !attests && !artifact
}

func (w *walk) add(d v1.Descriptor, img v1.Image) {
	plain := v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Annotations: d.Annotations}
	w.found = append(w.found, candidate{Child: Child{Source: w.number, Descriptor: plain, Image: img, name: w.source.Name}, said: d.Platform})
}
