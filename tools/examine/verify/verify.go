// Package verify checks that images are what they claim to be. It compares every digest, size and diffID with the
// bytes, and reads the programs of each image: they must match the platform, the entrypoint and its interpreter must
// exist, and the dynamic loader must find the shared libraries of what a container starts. Problems are collected in a
// Verdict; errors report that an image could not be examined.
package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/oci/blob"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// parallelReads is how many children are examined at a time. It bounds memory and open connections.
const parallelReads = 3

// Source verifies every child of s. It reads everything, each layer once, and checks that
//
//   - every digest, size and diffID matches the bytes,
//   - the descriptor, the config and the programs are for the same platform, and no program needs a newer
//     processor than the variant of the platform,
//   - the entrypoint exists and is complete, and so does the interpreter of every program,
//   - the dynamic loader finds the shared libraries of the programs that a container starts,
//   - the user and the working directory exist.
//
// Defects of the image are problems of the verdict; an error means that the image could not be examined. Missing
// libraries of other programs are notes, because packages include programs for optional dependencies.
func Source(ctx context.Context, s *source.Source) (*Verdict, error) { return Checks{}.Verify(ctx, s) }

func (c Checks) verify(ctx context.Context, s *source.Source, v *Verdict) error {
	root := &findings{}
	all, err := checkIndex(s, root)
	if err != nil {
		if !s.IsDefect(ctx, err) {
			return err
		}
		root.damage(location{}, "%s", describeDefect("the index", err))
	}
	root.addTo(v)
	children, err := readManifests(ctx, s, all)
	if err != nil {
		return err
	}
	cache := newLayerCache(s, children, c)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for _, child := range children {
		group.Go(func() error {
			defer cache.release(child)
			if err := child.verify(groupCtx, s, cache); err != nil {
				return fmt.Errorf("%s: %w", child.child, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, child := range children {
		child.addTo(v)
		v.SkippedLayers += child.skipped
	}
	v.Children = len(all)
	return nil
}

// describeDefect describes a part of the image that cannot be read.
func describeDefect(what string, err error) string {
	if source.IsMissing(err) {
		return what + " is missing"
	}
	return fmt.Sprintf("%s cannot be read: %v", what, err)
}

// checkIndex checks the index and lists its children. An image outside an index is its own only child.
func checkIndex(s *source.Source, f *findings) ([]source.Child, error) {
	if s.Index == nil {
		return s.Children()
	}
	raw, err := s.Index.RawManifest()
	if err != nil {
		return nil, err
	}
	f.checkDigest("the index", raw, s.Root)
	all, err := s.Children()
	if err != nil {
		return nil, err
	}
	f.checkMediaType("the index", raw, s.Root.MediaType)
	first := map[string]int{}
	for i, l := range all {
		at := &findings{child: source.Label(all, i)}
		switch {
		case l.Descriptor.MediaType.IsIndex():
			at.damage(location{}, "is a nested index; clients expect an image")
		case !l.Descriptor.MediaType.IsImage():
			at.damage(location{}, "its media type in the index is %q, which is not that of an image", l.Descriptor.MediaType)
		}
		if l.AttestationOf == "" {
			if l.Descriptor.Platform == nil {
				at.damage(location{}, "has no platform in the index")
			} else if j, ok := first[platformKey(l)]; ok {
				at.damage(location{}, "is listed twice: entries %d (%s) and %d (%s) of the index are for the same platform",
					j+1, all[j].Descriptor.Digest, i+1, l.Descriptor.Digest)
			} else {
				first[platformKey(l)] = i
			}
		}
		f.problems = append(f.problems, at.problems...)
	}
	return all, nil
}

// platformKey identifies what clients select an entry by. Windows images can differ in os.version.
func platformKey(l source.Child) string {
	p := l.Descriptor.Platform
	features := slices.Sorted(slices.Values(slices.Concat(p.OSFeatures, p.Features)))
	return l.Platform.String() + "\x00" + p.OSVersion + "\x00" + strings.Join(features, "\x00")
}

// checkDigest compares a document with its descriptor.
func (f *findings) checkDigest(what string, raw []byte, d v1.Descriptor) {
	if int64(len(raw)) != d.Size {
		f.damage(location{}, "%s has %d bytes, its descriptor %d", what, len(raw), d.Size)
	}
	hasher, err := v1.Hasher(d.Digest.Algorithm)
	if err != nil {
		f.damage(location{}, "%s: %v", what, err)
		return
	}
	hasher.Write(raw)
	if got := blob.Sum(d.Digest.Algorithm, hasher); got != d.Digest {
		f.damage(location{}, "the digest of %s is %s, in its descriptor %s", what, got, d.Digest)
	}
}

// checkMediaType compares the media type in a manifest or index with that of its descriptor.
func (f *findings) checkMediaType(what string, raw []byte, want types.MediaType) {
	var self struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&self); err != nil {
		return // reported when it is decoded
	}
	if self.SchemaVersion != 2 {
		f.damage(location{}, "%s has schema version %d instead of 2", what, self.SchemaVersion)
	}
	// The media type is optional in OCI manifests and required in Docker's.
	docker := want == types.DockerManifestSchema2 || want == types.DockerManifestList
	if self.MediaType != want && (self.MediaType != "" || docker) {
		f.damage(location{}, "%s has media type %q, its descriptor %q", what, self.MediaType, want)
	}
}

// childCheck is the verification of one child.
type childCheck struct {
	findings
	source.Child
	// manifest is nil if it could not be read.
	manifest *source.Manifest
	// skipped counts the layers that were not read because no check depends on them.
	skipped int
}

// readManifests reads the manifests of all children.
func readManifests(ctx context.Context, s *source.Source, all []source.Child) ([]*childCheck, error) {
	children := make([]*childCheck, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, l := range all {
		c := &childCheck{findings: findings{child: source.Label(all, i)}, Child: l}
		children[i] = c
		if !l.Descriptor.MediaType.IsImage() {
			continue // reported by checkIndex
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			o, err := l.Read()
			if err != nil && !s.IsDefect(ctx, err) {
				return fmt.Errorf("%s: %w", c.child, err)
			}
			if err != nil {
				c.damage(location{}, "%s", describeDefect("the manifest", err))
			}
			c.manifest = o
			return nil
		})
	}
	return children, group.Wait()
}
