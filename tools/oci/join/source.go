package join

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/format"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// sourceEntries are the index entries that a source contributes.
type sourceEntries struct {
	children []Child // images, then attestations of them
	notes    []string
	// platforms are those of all images, including images that were not requested.
	platforms []string
	err       error
}

// candidate is an image of a source.
type candidate struct {
	Child
	// declared is the platform in the index that lists the image, or nil.
	declared *v1.Platform
	// own is the final platform of the image; if it is nil, err is the reason.
	own *v1.Platform
	err error
	// listed is true for an entry of an index, and false for a source that is an image.
	listed bool
	open   func() (v1.Image, error)
}

// readSource returns the images of a source, with their platforms and attestations. It does not open images for
// platforms that were not requested; they need not exist.
func readSource(s Source, number int, o Options) sourceEntries {
	w := walk{source: s, number: number, options: o}
	if err := w.start(); err != nil {
		return sourceEntries{err: fmt.Errorf("%s: %w", s.Name, err)}
	}
	total := len(w.found)
	w.found = slices.DeleteFunc(w.found, func(c candidate) bool {
		return total > 1 && !mayMatch(c.declared,
			s.Platform, o.Only)
	})
	var group errgroup.Group
	group.SetLimit(8)
	for i := range w.found {
		group.Go(func() error { return w.found[i].resolve() })
	}
	if err := group.Wait(); err != nil {
		return sourceEntries{err: fmt.Errorf("%s: %w", s.Name, err)}
	}
	var c sourceEntries
	present, err := w.leaveOut(&c)
	if err != nil {
		return sourceEntries{err: err}
	}
	chosen, err := choose(s, present, w.platforms)
	if err != nil {
		return sourceEntries{err: err}
	}
	var wrong []error
	for _, f := range chosen {
		if f.err == nil && len(o.Only) == 0 {
			f.err = known(f) // images that are not requested may have any platform
		}
		if f.err != nil {
			wrong = append(wrong, f.err)
			continue
		}
		if s.Platform != nil && f.declared != nil &&
			(f.declared.OS != f.own.OS || f.declared.Architecture != f.own.Architecture) {
			c.notes = append(c.notes, fmt.Sprintf("%s: using platform %s instead of its own, %s", s.Name,
				canonical(f.own), canonical(f.declared)))
		}
		f.Descriptor.Platform = f.own
		c.children = append(c.children, f.Child)
	}
	if err := errors.Join(append(wrong, distinct(c.children))...); err != nil {
		return sourceEntries{err: err}
	}
	if len(c.children) == 0 && len(o.Only) == 0 || total == 0 {
		return sourceEntries{err: fmt.Errorf("%s: no runnable image", s.Name)}
	}
	c.platforms = unique(append(w.platforms, names(c.children)...))
	if err := w.attest(&c); err != nil {
		return sourceEntries{err: fmt.Errorf("%s: %w", s.Name, err)}
	}
	if w.left > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%s: skipped entries that are not images: %d", s.Name, w.left))
	}
	return c
}

// leaveOut returns the images that exist. For the others it returns an error, or adds notes if they may be skipped.
func (w *walk) leaveOut(c *sourceEntries) ([]candidate, error) {
	var present []candidate
	var wrong []error
	for _, f := range w.found {
		var absent *MissingError
		switch {
		case !errors.As(f.err, &absent):
			present = append(present, f)
		case w.options.IgnoreMissing || w.source.Sparse:
			c.notes = append(c.notes, fmt.Sprintf("%s: skipped because it does not exist", absent.what()))
		default:
			wrong = append(wrong, f.err)
		}
	}
	if len(wrong) == 0 && len(present) == 0 && len(w.found) > 0 {
		return nil, w.found[0].err
	}
	return present, errors.Join(wrong...)
}

// attest adds the attestations of the children.
func (w *walk) attest(c *sourceEntries) error {
	images := len(c.children)
	none := w.options.NoAttestations || w.options.Docker
	left := 0
	for _, a := range w.attestations {
		if !slices.ContainsFunc(c.children[:images],
			func(i Child) bool { return i.Descriptor.Digest.String() == a.attests }) {
			continue
		}
		if none {
			left++
			continue
		}
		err := a.resolve()
		if err == nil {
			err = a.err
		}
		var absent *MissingError
		switch {
		case errors.As(err, &absent) && (w.options.IgnoreMissing || w.source.Sparse):
			c.notes = append(c.notes, fmt.Sprintf("%s: skipped because it does not exist", absent.what()))
		case err != nil:
			return err
		default:
			a.Descriptor.Platform = a.declared
			c.children = append(c.children, a.Child)
		}
	}
	if left > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%s: skipped %s", w.source.Name, format.Count(left, "attestation")))
	}
	return nil
}

// mayMatch reports whether an image with the declared platform may match the given platform, or one of the
// requested ones. The config can only add to the platform in the index.
func mayMatch(declared, given *v1.Platform, only []arch.Platform) bool {
	if declared == nil || declared.OS == "" || declared.Architecture == "" {
		return true
	}
	may := func(want v1.Platform) bool {
		x, y := canonical(declared), canonical(&want)
		return x.OS == y.OS && x.Architecture == y.Architecture && (x == y || declared.Variant == "") &&
			(want.OSVersion == "" || declared.OSVersion == "" || want.OSVersion == declared.OSVersion)
	}
	if given != nil {
		return may(*given)
	}
	return len(only) == 0 || slices.ContainsFunc(only, func(p arch.Platform) bool {
		return may(v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
	})
}

// walk lists the images of a source.
type walk struct {
	source       Source
	number       int
	options      Options
	found        []candidate
	attestations []candidate
	platforms    []string // in the indexes
	left         int      // entries left out
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
	h, size, _ := v1.SHA256(bytes.NewReader(raw)) // reading from memory cannot fail
	self := indexjson.Entry{Descriptor: v1.Descriptor{MediaType: mediaType, Digest: h, Size: size}}
	c := w.candidate(self, func() (v1.Image, error) { return w.source.Image, nil })
	c.listed = false
	w.found = append(w.found, c)
	return nil
}

func (w *walk) index(index v1.ImageIndex, depth int) error {
	raw, err := index.RawManifest()
	if err != nil {
		return fmt.Errorf("reading the index: %w", err)
	}
	list, err := indexjson.Parse(raw)
	if err != nil {
		return fmt.Errorf("reading the index: %w", err)
	}
	for _, e := range list.Entries {
		d := e.Descriptor
		open := func() (v1.Image, error) { return index.Image(d.Digest) }
		switch {
		case e.Err == nil && attests(d) != "" && d.MediaType.IsImage():
			c := w.candidate(e, open)
			c.attests = attests(d)
			w.attestations = append(w.attestations, c)
		case e.Err != nil || !manifest.IsImage(d):
			w.left++
		case len(w.found) == childLimit:
			return fmt.Errorf("the index has more than %d images", childLimit)
		case d.MediaType.IsIndex() && depth == depthLimit:
			return fmt.Errorf("indexes are nested more than %d deep", depthLimit)
		case d.MediaType.IsIndex():
			if !mayMatch(d.Platform, w.source.Platform, w.options.Only) {
				continue
			}
			inner, err := index.ImageIndex(d.Digest)
			if err != nil {
				return fmt.Errorf("opening the index %s: %w", d.Digest, err)
			}
			if err := w.index(inner, depth+1); err != nil {
				return err
			}
		default:
			c := w.candidate(e, open)
			if c.declared != nil && c.declared.OS != "" {
				w.platforms = append(w.platforms, written(*c.declared))
			}
			w.found = append(w.found, c)
		}
	}
	return nil
}

func (w *walk) candidate(e indexjson.Entry, open func() (v1.Image, error)) candidate {
	d := e.Descriptor
	plain := v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Annotations: d.Annotations}
	if runs := attests(d) == ""; !runs {
		plain = d
	}
	return candidate{
		Child:    Child{Source: w.number, Descriptor: plain, name: w.source.Name, from: e, missing: w.options.Missing},
		declared: d.Platform, listed: true, open: open,
	}
}
