package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// existing is an image or index to be joined, in any form that inspect opens.
type existing struct {
	reference string
	opened    string       // the reference that is opened, if it is another one
	platform  *v1.Platform // nil if it says so itself
}

// joined is an index of existing images.
type joined struct {
	*join.Joined
	// sources says where the blobs of the images are, as far as they are in registries.
	sources map[v1.Hash]name.Repository
}

// sourceError is about an existing image that cannot be had.
type sourceError struct {
	error
	hint string
}

func (e *sourceError) Unwrap() error { return e.error }

// Class classifies the error for the exit code.
func (e *sourceError) Class() fault.Class { return fault.Base }

// Hint says what could be wrong.
func (e *sourceError) Hint() string {
	if fault := registry.Classify(e.error); fault == registry.NotFound || fault == registry.NoRepository {
		return e.hint
	}
	return cmp.Or(registry.Hint(e.error, registry.Reading), e.hint)
}

// joinExisting opens existing images and joins them.
func joinExisting(ctx context.Context, client registry.Client, wanted []existing, o join.Options) (*joined, error) {
	o.Missing = source.IsMissing
	sources, err := openExisting(ctx, client, wanted, o)
	if err != nil {
		return nil, err
	}
	return sources.join(o)
}

// existingSources are images and indexes that have been opened to be joined.
type existingSources struct {
	client registry.Client
	wanted []existing
	opened []*source.Source
	notes  []string
}

// openExisting opens existing images. Everything that cannot be opened is in the error. Archives stay open for as long as
// they may be read: until this process ends.
func openExisting(ctx context.Context, client registry.Client, wanted []existing, o join.Options) (*existingSources, error) {
	opened := make([]*source.Source, len(wanted))
	failed := make([]error, len(wanted))
	var group errgroup.Group
	group.SetLimit(max(client.Jobs, 8))
	for i, w := range wanted {
		group.Go(func() (err error) {
			if opened[i], err = source.Open(ctx, client, cmp.Or(w.opened, w.reference)); err != nil {
				failed[i] = &sourceError{err, "check the name, the tag and the login"}
			}
			return nil
		})
	}
	_ = group.Wait()
	all := &existingSources{client: client}
	var wrong []error
	for i, w := range wanted {
		switch err := failed[i]; {
		case err == nil:
			all.wanted, all.opened = append(all.wanted, w), append(all.opened, opened[i])
			all.notes = append(all.notes, fmt.Sprintf("%s is %s", w.reference, opened[i].Root.Digest))
		case o.IgnoreMissing && source.IsMissing(err):
			all.notes = append(all.notes, fmt.Sprintf("left out %s, which does not exist: %v", w.reference, err))
		default:
			wrong = append(wrong, err)
		}
	}
	if len(wrong) == 0 && len(wanted) > 0 && len(all.opened) == 0 {
		wrong = failed // none of them exists
	}
	return all, errors.Join(wrong...)
}

// join joins the images. The first notes are which digests the references have.
func (s *existingSources) join(o join.Options) (*joined, error) {
	sources := make([]join.Source, len(s.wanted))
	for i, w := range s.wanted {
		from := s.opened[i]
		sources[i] = join.Source{Name: w.reference, Image: from.Image, Index: from.Index, Platform: w.platform, Sparse: from.Sparse()}
	}
	result, err := join.Join(sources, o)
	if err != nil {
		return nil, err
	}
	result.Notes = append(slices.Clone(s.notes), result.Notes...)
	j := &joined{result, map[v1.Hash]name.Repository{}}
	for _, c := range result.Children {
		if c.Source < 0 || c.Image == nil || !s.opened[c.Source].Remote() {
			continue
		}
		ref, err := s.client.Parse(s.wanted[c.Source].reference)
		if err != nil {
			return nil, err
		}
		m, err := c.Image.Manifest()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", s.wanted[c.Source].reference, err)
		}
		for _, d := range append(m.Layers, m.Config) {
			j.sources[d.Digest] = ref.Context()
		}
	}
	return j, nil
}

// target is where an index goes: a repository under a tag, or an entry of an OCI layout.
type target struct {
	given           string
	repository, tag string
	dir, name       string // of a layout
}

func (a *app) parseTarget(client registry.Client, given string) (target, error) {
	t := target{given: given}
	switch file, top, err := a.projectImage(given); {
	case err != nil:
		return t, err
	case file != "":
		layout := "oci:" + filepath.Join(top, layoutDir) + ":" + given
		return t, usagef(fmt.Sprintf("write %s for the layout, or %s for Docker Hub", layout, registry.HubName(given)),
			"%q is an image of %s, and an index is not pushed there", given, file)
	}
	if place, ok := strings.CutPrefix(given, "oci:"); ok {
		t.dir, t.name, _ = strings.Cut(place, ":")
		if t.dir == "" || t.name == "" {
			return t, usagef("such as oci:dist:hello", "%q does not name a layout and an image in it", given)
		}
		return t, nil
	}
	ref, err := client.Parse(given)
	if err != nil {
		return t, usagef("write a reference to a registry, or oci:DIR:NAME", "%w", err)
	}
	tag, ok := ref.(name.Tag)
	if !ok {
		return t, usagef("write REPOSITORY:TAG: the digest is what comes out", "an index cannot be given its digest: %s", given)
	}
	t.tag = tag.TagStr()
	t.repository = strings.TrimSuffix(given, ":"+t.tag)
	return t, nil
}
