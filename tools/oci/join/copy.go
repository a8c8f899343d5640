package join

import (
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// mayCopy reports whether the index can be a copy of its only source, provided that all entries exist.
func (o Options) mayCopy(sources []Source) bool {
	return o.Copy && len(sources) == 1 && sources[0].Index != nil && sources[0].Platform == nil &&
		len(o.Only) == 0 && o.Onto == nil &&
		len(o.Annotations)+len(o.EntryAnnotations)+len(o.ManifestAnnotations) == 0
}

// copied returns a copy of an index, including entries that are not images. It returns nil if an entry must be left
// out.
func copied(s Source, o Options) (*Joined, error) {
	raw, err := s.Index.RawManifest()
	if err != nil {
		return nil, fmt.Errorf("%s: reading the index: %w", s.Name, err)
	}
	list, err := indexjson.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: reading the index: %w", s.Name, err)
	}
	if mediaType, err := s.Index.MediaType(); err != nil || o.Docker && mediaType != types.DockerManifestList {
		return nil, err
	}
	if (o.NoAttestations || o.Docker) && slices.ContainsFunc(list.Entries,
		func(e indexjson.Entry) bool { return attests(e.Descriptor) != "" }) {
		return nil, nil
	}
	all := make([]candidate, len(list.Entries))
	var group errgroup.Group
	group.SetLimit(8)
	for i, e := range list.Entries {
		if e.Err != nil {
			return nil, fmt.Errorf("%s: reading the entry for %s: %w", s.Name, e.Digest, e.Err)
		}
		all[i] = candidate{
			Child: Child{Descriptor: e.Descriptor, name: s.Name, from: e, attests: attests(e.Descriptor),
				missing: o.Missing},
			declared: e.Descriptor.Platform, open: func() (v1.Image, error) { return s.Index.Image(e.Descriptor.Digest) },
		}
		if e.Descriptor.MediaType.IsImage() {
			group.Go(func() error {
				_, err := all[i].load()
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	j := &Joined{Index: s.Index}
	for _, c := range all {
		switch {
		case c.err == nil:
			j.Children = append(j.Children, c.Child)
		case o.IgnoreMissing || s.Sparse:
			return nil, nil
		default:
			return nil, c.err
		}
	}
	return j, nil
}
