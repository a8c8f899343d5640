// Package join creates an image index from existing images and indexes, as docker manifest create and docker buildx
// imagetools create do. It also adds images to an index, replaces or removes them, and annotates them. Manifests are
// not rewritten unless they are annotated, so that digests stay the same. The package opens no references: callers pass
// images and indexes from registries, layouts or archives.
package join

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// Source is an image, or an index, whose images go into another index. Exactly one of Image and Index is set.
type Source struct {
	// Name identifies the source in messages: the reference that it was opened by.
	Name  string
	Image v1.Image
	Index v1.ImageIndex
	// Platform says what the image is for, whatever it says itself; nil leaves that to its config. OSVersion, OSFeatures
	// and Features may be missing in it: they are the image's own then. Of an index with several images it chooses
	// those that are for this platform. An index with one image is like that image, since that is what buildx pushes for
	// one platform: the image and its attestation.
	Platform *v1.Platform
	// Sparse skips entries of Index that do not exist. Archives of docker save have such entries.
	Sparse bool
}

// Options control how Join creates the index.
type Options struct {
	// Onto is an index that the sources are added to; nil begins an empty one. What it has stays byte for byte, and in its
	// order, unless it is replaced or removed.
	Onto *Source
	// Remove are platforms whose images are taken out of Onto, with their attestations. Each has to be there. OSVersion,
	// if it is set, has to be that of the image.
	Remove []v1.Platform
	// Replace lets a source take the place of all images of Onto that are for the same platform.
	Replace bool
	// Only, if it is not empty, are the platforms that are wanted of the sources. Each has to be there; images for others
	// are left out.
	Only []arch.Platform
	// Annotations of the index, of the entries for images, and of the images themselves.
	Annotations         map[string]string
	EntryAnnotations    []PlatformAnnotation
	ManifestAnnotations []PlatformAnnotation
	// Copy returns a single index unchanged, if no other option changes it.
	Copy bool
	// NoAttestations leaves out the attestations of the sources.
	NoAttestations bool
	// Docker creates a docker manifest list, which has neither attestations nor annotations.
	Docker bool
	// IgnoreMissing skips listed images that do not exist. Missing reports whether an error means that.
	IgnoreMissing bool
	Missing       func(error) bool
}

// PlatformAnnotation is an annotation for the images of a platform, or for all images if Platform is nil.
type PlatformAnnotation struct {
	Platform   *v1.Platform
	Key, Value string
}

// Joined is an index with the sources of its images.
type Joined struct {
	// Index is an OCI index unless it is a copy, was made of another kind, or Options.Docker is set.
	Index v1.ImageIndex
	// Children are the entries in the order of the index: images in that of the architecture table, then of Windows
	// versions, and attestations behind them. Those of Options.Onto stay where they are.
	Children []Child
	// Present are the digests of the entries that are as they were in Options.Onto, and so where that is.
	Present map[string]bool
	// Notes are messages for the user, such as skipped entries and overridden platforms.
	Notes []string
}

// Child is an entry of a joined index.
type Child struct {
	// Source is the number of the source it is from, -1 for Options.Onto.
	Source     int
	Descriptor v1.Descriptor
	// Image is nil for entries of Options.Onto that did not have to be opened.
	Image v1.Image

	name     string          // of the source
	from     indexjson.Entry // in the source
	attests  string          // the digest of the image that it is an attestation of
	platform *v1.Platform    // of an image, also if Descriptor does not say it
	explicit bool            // an index says the platform
	missing  func(error) bool
}

// Platform returns the canonical platform of the child.
func (c Child) Platform() arch.Platform {
	if p := c.image(); p != nil {
		return canonical(p)
	}
	if c.Descriptor.Platform == nil {
		return arch.Platform{}
	}
	return canonical(c.Descriptor.Platform)
}

// image returns the platform of an image, or nil for other entries.
func (c Child) image() *v1.Platform {
	switch {
	case c.attests != "" || !manifest.IsImage(c.Descriptor):
		return nil
	case c.platform != nil:
		return c.platform
	}
	return c.Descriptor.Platform
}

// Join makes an index of the images of the sources and their attestations. Manifests stay byte for byte what they are,
// of docker or of OCI types, so that their digests do not move. Other entries of source indexes are left out.
//
// The platform is that of the image's config, in canonical form; if the index that the image is from says a variant or
// a Windows version too, that counts. An image is read as far as its manifest and config. One image given twice is
// there once; two images for a platform are a *DuplicateError, unless one index has both and tells them apart. An image
// without a platform, or with an unknown one that only its config says, is a *PlatformError, a platform that is wanted
// and not there an *AbsentError, an image that an index lists and that is not there a *MissingError. Errors about
// several sources are joined.
func Join(sources []Source, o Options) (*Joined, error) {
	if o.mayCopy(sources) {
		if j, err := copied(sources[0], o); j != nil || err != nil {
			return j, err
		}
	}
	all := make([]sourceEntries, len(sources))
	var group errgroup.Group
	group.SetLimit(8)
	for i, s := range sources {
		group.Go(func() error {
			all[i] = readSource(s, i, o)
			return nil
		})
	}
	b, err := openBase(o)
	_ = group.Wait()
	j := &Joined{}
	wrong := []error{err}
	for _, c := range all {
		j.Notes = append(j.Notes, c.notes...)
		wrong = append(wrong, c.err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if err := b.remove(o.Remove); err != nil {
		return nil, err
	}
	var added []Child
	var have []string
	for _, c := range all {
		added, have = append(added, c.children...), append(have, c.platforms...)
	}
	if added, err = only(added, o.Only, unique(have)); err != nil {
		return nil, err
	}
	if err := b.merge(added, o.Replace, j); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(b.children, func(c Child) bool { return c.attests == "" && manifest.IsImage(c.Descriptor) }) {
		return nil, errNothing
	}
	if err := b.annotate(o, j); err != nil {
		return nil, err
	}
	j.Children = b.children
	if j.Index, err = b.write(o, sources); err != nil {
		return nil, err
	}
	j.Present = b.present()
	return j, nil
}

// only leaves the images for the platforms wanted, and their attestations; none means all. have is what error messages
// list.
func only(children []Child, want []arch.Platform, have []string) ([]Child, error) {
	if len(want) == 0 {
		return children, nil
	}
	for _, p := range want {
		if !slices.ContainsFunc(children, func(c Child) bool { return c.image() != nil && c.Platform() == p }) {
			return nil, &AbsentError{"", p.String(), have}
		}
	}
	gone := map[string]bool{}
	for _, c := range children {
		if c.image() != nil && !slices.Contains(want, c.Platform()) {
			gone[c.Descriptor.Digest.String()] = true
		}
	}
	return slices.DeleteFunc(children, func(c Child) bool {
		if c.attests != "" {
			return gone[c.attests]
		}
		return gone[c.Descriptor.Digest.String()]
	}), nil
}

// names lists the platforms of children, each once.
func names(children []Child) []string {
	var all []string
	for _, c := range children {
		if p := c.image(); p != nil {
			all = append(all, written(*p))
		}
	}
	return unique(all)
}

// clash reports whether two images are for the same platform.
func clash(a, b Child) bool {
	p, q := a.image(), b.image()
	if p == nil || q == nil || canonical(p) != canonical(q) || p.OSVersion != q.OSVersion {
		return false
	}
	return len(p.OSFeatures) == 0 || len(q.OSFeatures) == 0 || slices.Equal(sorted(p.OSFeatures), sorted(q.OSFeatures))
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// compare orders images by the architecture table, then by Windows versions; what is no image comes last.
func compare(a, b Child) int {
	p, q := a.image(), b.image()
	switch {
	case p == nil && q == nil:
		return 0
	case p == nil:
		return 1
	case q == nil:
		return -1
	}
	x, y := canonical(p), canonical(q)
	return cmp.Or(cmp.Compare(arch.Order(x), arch.Order(y)), compareVersions(p.OSVersion, q.OSVersion),
		cmp.Compare(x.String(), y.String()))
}

func (s *Source) name() string {
	if s == nil {
		return ""
	}
	return s.Name
}

// errNothing is what is left if the last image has been removed.
var errNothing = fmt.Errorf("an image index requires at least one image, but none would remain")
