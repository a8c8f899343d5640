// Package index joins images that exist already to an image index, as docker manifest create and docker buildx
// imagetools create do. It opens nothing itself: whoever calls it brings images and indexes from wherever they are.
package index

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/image"
)

// Source is an image, or an index, whose images go into another index. Exactly one of Image and Index is set.
type Source struct {
	// Name is what messages call it: the reference it was opened by.
	Name  string
	Image v1.Image
	Index v1.ImageIndex
	// Platform says what the image is for, whatever it says itself; nil leaves that to its config. OSVersion, OSFeatures
	// and Features may be missing in it: they are the image's own then. Of an index with several images it chooses
	// those that are for this platform. An index with one image is like that image, since that is what buildx pushes for
	// one platform: the image and its attestation.
	Platform *v1.Platform
}

// Options say what else becomes of the index.
type Options struct {
	// Onto is an index that the sources are added to; nil begins an empty one. Platforms that are no row of the
	// architecture table stay in it, and so do its annotations.
	Onto *Source
	// Remove are platforms whose images are taken out of Onto. Each has to be there. OSVersion, where it is set, has to be
	// that of the image.
	Remove []v1.Platform
	// Replace lets a source take the place of an image of Onto that is for the same platform.
	Replace bool
	// Only, where it is not empty, are the platforms that are wanted of the sources. Each has to be there; images for
	// others are left out.
	Only []arch.Platform
	// Annotations of the index.
	Annotations map[string]string
}

// Joined is an index and where its images are from.
type Joined struct {
	// Index is of OCI types, whatever its images are.
	Index v1.ImageIndex
	// Children are in the order of the index: that of the architecture table, then of Windows versions.
	Children []Child
	// Notes are what a person should know about: what was left out, what says something else about itself.
	Notes []string
}

// Child is an image of a joined index.
type Child struct {
	// Source is the number of the source it is from, -1 for Options.Onto.
	Source     int
	Descriptor v1.Descriptor
	Image      v1.Image

	name string // of the source
}

// Platform is the canonical platform of the child.
func (c Child) Platform() arch.Platform { return canonical(c.Descriptor.Platform) }

// key is what no two images of an index share: Windows runs no image of another version.
type key struct {
	arch.Platform
	version string
}

func (c Child) key() key {
	k := key{Platform: c.Platform()}
	if k.OS == "windows" {
		k.version = c.Descriptor.Platform.OSVersion
	}
	return k
}

// Join makes an index of the images of the sources. Manifests stay byte for byte what they are, of docker or of OCI
// types, so their digests do not move. Entries of source indexes that no runtime could start, such as BuildKit's
// attestations, are left out.
//
// The platform is that of the image's config, in canonical form; where the index that the image is from says a variant or
// a Windows version too, that counts. An image is read as far as its manifest and config. One image given twice is there
// once; two images for a platform are a *DuplicateError, an image without a platform, or with one that is no row of the
// architecture table, is a *PlatformError, and a platform asked for that is not there is an *AbsentError. Errors about
// several sources are joined.
func Join(sources []Source, o Options) (*Joined, error) {
	all := make([]contribution, len(sources)+1)
	var group errgroup.Group
	group.SetLimit(8)
	for i, s := range sources {
		group.Go(func() error {
			all[i+1] = contribute(s, i, len(o.Only) == 0) // what is not wanted may be anything
			return nil
		})
	}
	if o.Onto != nil {
		all[0] = contribute(*o.Onto, -1, false)
	}
	_ = group.Wait()
	j := &Joined{}
	var wrong []error
	for _, c := range all {
		j.Notes = append(j.Notes, c.notes...)
		wrong = append(wrong, c.err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}

	base, annotations := all[0].children, maps.Clone(all[0].annotations)
	for _, p := range o.Remove {
		if !slices.ContainsFunc(base, func(c Child) bool { return suits(c.Descriptor.Platform, p) }) {
			return nil, &AbsentError{o.Onto.name(), written(p), names(base)}
		}
	}
	base = slices.DeleteFunc(base, func(c Child) bool {
		return slices.ContainsFunc(o.Remove, func(p v1.Platform) bool { return suits(c.Descriptor.Platform, p) })
	})
	var added []Child
	for _, c := range all[1:] {
		added = append(added, c.children...)
	}
	added, err := only(added, o.Only)
	if err != nil {
		return nil, err
	}
	if j.Children, err = merge(base, added, o.Replace); err != nil {
		return nil, err
	}
	if len(j.Children) == 0 {
		return nil, errNothing
	}
	slices.SortStableFunc(j.Children, func(a, b Child) int {
		x, y := a.key(), b.key()
		return cmp.Or(cmp.Compare(arch.Order(x.Platform), arch.Order(y.Platform)), compareVersions(x.version, y.version), cmp.Compare(x.String(), y.String()))
	})

	if annotations == nil && len(o.Annotations) > 0 {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, o.Annotations)
	images := map[v1.Hash]v1.Image{}
	var descriptors []v1.Descriptor
	for _, c := range j.Children {
		images[c.Descriptor.Digest] = c.Image
		descriptors = append(descriptors, c.Descriptor)
	}
	j.Index, err = image.Join(descriptors, images, annotations)
	return j, err
}

// only leaves the images for the platforms wanted; none means all.
func only(children []Child, want []arch.Platform) ([]Child, error) {
	if len(want) == 0 {
		return children, nil
	}
	for _, p := range want {
		if !slices.ContainsFunc(children, func(c Child) bool { return c.Platform() == p }) {
			return nil, &AbsentError{"", p.String(), names(children)}
		}
	}
	return slices.DeleteFunc(children, func(c Child) bool { return !slices.Contains(want, c.Platform()) }), nil
}

// merge adds images to those of base, which only yield to others where replace allows it.
func merge(base, added []Child, replace bool) ([]Child, error) {
	var all []Child
	var wrong []error
	at := map[key]int{}
	for i, c := range slices.Concat(base, added) {
		j, taken := at[c.key()]
		switch {
		case !taken:
			at[c.key()] = len(all)
			all = append(all, c)
		case all[j].Descriptor.Digest == c.Descriptor.Digest:
		case replace && i >= len(base) && all[j].Source < 0:
			all[j] = c
		default:
			wrong = append(wrong, &DuplicateError{c.Platform(), all[j].name, c.name, all[j].Source < 0})
		}
	}
	return all, errors.Join(wrong...)
}

// names lists the platforms of children, each once.
func names(children []Child) []string {
	var all []string
	for _, c := range children {
		if name := written(*c.Descriptor.Platform); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func (s *Source) name() string {
	if s == nil {
		return ""
	}
	return s.Name
}

// errNothing is what is left where the last image has been removed.
var errNothing = fmt.Errorf("an image index needs at least one image, and none would be left")
