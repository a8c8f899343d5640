package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/index"
	"github.com/multiarch-build/multiarch/tools/inspect"
	"github.com/multiarch-build/multiarch/tools/registry"
)

// existing is an image or index to be joined, in any form that inspect opens.
type existing struct {
	reference string
	platform  *v1.Platform // nil where it says so itself
}

// joined is an index of existing images.
type joined struct {
	*index.Joined
	// sources says where the blobs of the images stand, as far as they are in registries.
	sources map[v1.Hash]name.Repository
}

// sourceError is about an existing image that cannot be had.
type sourceError struct {
	error
	hint string
}

func (e *sourceError) Unwrap() error { return e.error }

// Hint says what could be wrong.
func (e *sourceError) Hint() string {
	var inner interface{ Hint() string }
	if errors.As(e.error, &inner) {
		return inner.Hint()
	}
	return e.hint
}

// join opens existing images and joins them. Everything that cannot be opened is in the error. Archives stay open for as
// long as somebody may read them: until this process ends. The first notes are which digests the references stand for.
func join(ctx context.Context, client registry.Client, wanted []existing, o index.Options) (*joined, error) {
	opened := make([]*inspect.Source, len(wanted))
	failed := make([]error, len(wanted))
	var group errgroup.Group
	group.SetLimit(max(client.Jobs, 8))
	for i, w := range wanted {
		group.Go(func() (err error) {
			if opened[i], err = inspect.Open(ctx, client, w.reference); err != nil {
				failed[i] = &sourceError{err, "check the name, the tag and the login"}
			}
			return nil
		})
	}
	_ = group.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	var notes []string
	sources := make([]index.Source, len(wanted))
	for i, w := range wanted {
		s := opened[i]
		sources[i] = index.Source{Name: w.reference, Image: s.Image, Index: s.Index, Platform: w.platform}
		notes = append(notes, fmt.Sprintf("%s is %s", w.reference, s.Root.Digest))
	}
	result, err := index.Join(sources, o)
	if err != nil {
		return nil, err
	}
	result.Notes = append(notes, result.Notes...)
	j := &joined{result, map[v1.Hash]name.Repository{}}
	for _, c := range result.Children {
		if c.Source < 0 || !opened[c.Source].Remote() {
			continue
		}
		ref, err := client.Parse(wanted[c.Source].reference)
		if err != nil {
			return nil, err
		}
		m, err := c.Image.Manifest()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", wanted[c.Source].reference, err)
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
