package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Existing is an image or index to join, in any form that package source opens.
type Existing struct {
	Reference string
	// Opened is the reference to open, if it differs from the one in messages.
	Opened string
	// Platform is nil if the image declares its own.
	Platform *v1.Platform
}

// Joined is an index of existing images.
type Joined struct {
	*join.Joined
	// Repositories are the repositories that have the blobs of the images, without blobs that are not in a registry.
	Repositories map[v1.Hash]name.Repository
}

// SourceError reports an existing image that cannot be read.
type SourceError struct {
	Err error
	// Advice is the hint if the registry's answer does not suggest a better one.
	Advice string
}

func (e *SourceError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Class classifies the error for the exit code.
func (e *SourceError) Class() fault.Class { return fault.Base }

// Hint returns the next step.
func (e *SourceError) Hint() string {
	if f := registry.Classify(e.Err); f == registry.NotFound || f == registry.NoRepository {
		return e.Advice
	}
	return cmp.Or(registry.Hint(e.Err, registry.Reading), e.Advice)
}

// JoinExisting opens existing images and joins them.
func JoinExisting(ctx context.Context, client registry.Client, wanted []Existing, o join.Options) (*Joined, error) {
	o.Missing = source.IsMissing
	sources, err := OpenExisting(ctx, client, wanted, o)
	if err != nil {
		return nil, err
	}
	return sources.Join(o)
}

// Sources are existing images and indexes that have been opened to be joined.
type Sources struct {
	client registry.Client
	wanted []Existing
	opened []*source.Source
	notes  []string
}

// OpenExisting opens existing images. The error has every image that cannot be opened. Archives stay open until the
// process ends, since their layers may be read at any time.
func OpenExisting(ctx context.Context, client registry.Client, wanted []Existing, o join.Options) (*Sources, error) {
	opened := make([]*source.Source, len(wanted))
	failed := make([]error, len(wanted))
	var group errgroup.Group
	group.SetLimit(max(client.Jobs, 8))
	for i, w := range wanted {
		group.Go(func() (err error) {
			if opened[i], err = source.Open(ctx, client, cmp.Or(w.Opened, w.Reference)); err != nil {
				failed[i] = &SourceError{err, "check the name, the tag and the login"}
			}
			return nil
		})
	}
	_ = group.Wait()
	all := &Sources{client: client}
	var wrong []error
	for i, w := range wanted {
		switch err := failed[i]; {
		case err == nil:
			all.wanted, all.opened = append(all.wanted, w), append(all.opened, opened[i])
			all.notes = append(all.notes, fmt.Sprintf("%s is %s", w.Reference, opened[i].Root.Digest))
		case o.IgnoreMissing && source.IsMissing(err):
			all.notes = append(all.notes, fmt.Sprintf("skipped %s, which does not exist: %v", w.Reference, err))
		default:
			wrong = append(wrong, err)
		}
	}
	if len(wrong) == 0 && len(wanted) > 0 && len(all.opened) == 0 {
		wrong = failed // none of them exists
	}
	return all, errors.Join(wrong...)
}

// Join joins the images. The first notes are the digests of the references.
func (s *Sources) Join(o join.Options) (*Joined, error) {
	sources := make([]join.Source, len(s.wanted))
	for i, w := range s.wanted {
		from := s.opened[i]
		sources[i] = join.Source{
			Name:     w.Reference,
			Image:    from.Image,
			Index:    from.Index,
			Platform: w.Platform,
			Sparse:   from.Sparse(),
		}
	}
	result, err := join.Join(sources, o)
	if err != nil {
		return nil, err
	}
	result.Notes = append(slices.Clone(s.notes), result.Notes...)
	j := &Joined{result, map[v1.Hash]name.Repository{}}
	for _, c := range result.Children {
		if c.Source < 0 || c.Image == nil || !s.opened[c.Source].Remote() {
			continue
		}
		ref, err := s.client.Parse(s.wanted[c.Source].Reference)
		if err != nil {
			return nil, err
		}
		m, err := c.Image.Manifest()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", s.wanted[c.Source].Reference, err)
		}
		for _, d := range append(m.Layers, m.Config) {
			j.Repositories[d.Digest] = ref.Context()
		}
	}
	return j, nil
}

// JoinImage joins the existing images of an image of a plan. Their layers are read until ctx ends.
func JoinImage(ctx context.Context, client registry.Client, i plan.Image) (*Joined, error) {
	var wanted []Existing
	for _, f := range i.From {
		e := Existing{Reference: f.Reference}
		if f.Platform != (arch.Platform{}) {
			e.Platform = &v1.Platform{OS: f.Platform.OS, Architecture: f.Platform.Architecture, Variant: f.Platform.Variant}
		}
		wanted = append(wanted, e)
	}
	j, err := JoinExisting(ctx, client, wanted, join.Options{Only: i.Platforms, Annotations: i.Annotations})
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Name, err)
	}
	return j, nil
}
