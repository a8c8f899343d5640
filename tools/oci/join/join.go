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

// Source is an image or an index whose images are joined. Exactly one of Image and Index is set.
type Source struct {
	// Name identifies the source in messages. It is the reference that was opened.
	Name  string
	Image v1.Image
	Index v1.ImageIndex
	// Platform overrides the platform in the config of the image. OSVersion, OSFeatures and Features default to those of
	// the image. If the source is an index with several images, Platform selects images instead. An index with one image
	// counts as that image, because buildx pushes such an index, with an attestation, for a single platform.
	Platform *v1.Platform
	// Sparse skips entries of Index that do not exist. Archives of docker save have such entries.
	Sparse bool
}

// Options control how Join creates the index.
type Options struct {
	// Onto is the index that the sources are added to. If it is nil, the result is a new index. Existing entries keep
	// their bytes and their order, unless they are replaced or removed.
	Onto *Source
	// Remove lists the platforms whose images are removed from Onto, with their attestations. Onto must have an image for
	// each. OSVersion, if set, must match.
	Remove []v1.Platform
	// Replace allows sources to replace all images of Onto for the same platform.
	Replace bool
	// Only lists the requested platforms of the sources; empty means all. The sources must have an image for each. Images
	// for other platforms are left out.
	Only []arch.Platform
	// Annotations are added to the index, to the entries of images, and to the images themselves.
	Annotations         map[string]string
	EntryAnnotations    []PlatformAnnotation
	ManifestAnnotations []PlatformAnnotation
	// Copy returns a single source index unchanged if no other option changes it.
	Copy bool
	// NoAttestations leaves out the attestations of the sources.
	NoAttestations bool
	// Docker creates a docker manifest list, which has neither attestations nor annotations.
	Docker bool
	// IgnoreMissing skips listed images that do not exist. Missing reports whether an error means that one does not.
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
	// Index is an OCI index, unless it is a copy, Options.Onto has another type, or Options.Docker is set.
	Index v1.ImageIndex
	// Children are the entries in the order of the index. New images are sorted by the architecture table, then by
	// Windows version; attestations follow. Entries of Options.Onto keep their places.
	Children []Child
	// Present holds the digests of unchanged entries of Options.Onto, which need not be uploaded to its repository.
	Present map[string]bool
	// Notes are messages for the user, such as skipped entries and overridden platforms.
	Notes []string
}

// Child is an entry of a joined index.
type Child struct {
	// Source is the index of the source in the arguments of Join, or -1 for Options.Onto.
	Source     int
	Descriptor v1.Descriptor
	// Image is nil for entries of Options.Onto that did not have to be opened.
	Image v1.Image

	name     string          // of the source
	from     indexjson.Entry // in the source
	attests  string          // digest of the image that this attestation describes
	platform *v1.Platform    // of an image, even if Descriptor has none
	explicit bool            // the platform is from an index or the user
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

// Join creates an index of the images in the sources and of their attestations. Manifests keep their bytes and types,
// and therefore their digests. Other entries of source indexes are left out. Join reads the manifest and config of each
// image, but no layers.
//
// The platform of an image is the one in its config, in canonical form. A variant or Windows version in the index that
// lists the image takes precedence. An image that is given twice is listed once.
//
// Join returns a *DuplicateError for different images for one platform, unless one index has both and distinguishes
// them; a *PlatformError for an image without a platform, or with an unknown platform in its config; an *AbsentError
// for a requested platform without an image; and a *MissingError for a listed image that does not exist. Errors about
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

// only returns the images for the given platforms, with their attestations, or all if there are none. have lists the
// available platforms for the error.
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

// compare orders images by the architecture table, then by Windows version. Other entries come last.
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

// errNothing is returned if the last image would be removed.
var errNothing = fmt.Errorf("an image index requires at least one image, but none would remain")
