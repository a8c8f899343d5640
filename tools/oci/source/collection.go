package source

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// collection is what an OCI layout or an archive holds.
type collection struct {
	place   string // the directory or file, for messages
	entries []item
	sparse  bool         // see Source.Sparse
	close   func() error // nil if there is nothing to close
}

// item is an image or index of a collection, which need not be readable: other tools also list artifacts, images whose
// blobs are elsewhere, and digests of other algorithms.
type item struct {
	names []string
	id    string // the digest as it is written
	// auxiliary entries are attestations, signatures and other artifacts. They are never meant without being named.
	auxiliary bool
	// matches reports whether a name other than "" means this entry.
	matches func(name string) bool
	open    func() (*Source, error)
}

// label is what the entry is called in messages.
func (e item) label() string {
	if len(e.names) > 0 {
		return e.names[0]
	}
	return e.id
}

// find returns the entries called name, each digest once. Without a name these are all images, or all entries if none
// of them is an image. The error is an *EntryError if there are none.
func (c *collection) find(name string) ([]item, error) {
	candidates := c.entries
	if name == "" {
		images := slices.DeleteFunc(slices.Clone(c.entries), func(e item) bool { return e.auxiliary })
		if len(images) > 0 {
			candidates = images
		}
	}
	var found []item
	for _, e := range candidates {
		if name != "" && !e.matches(name) {
			continue
		}
		i := slices.IndexFunc(found, func(f item) bool { return f.id == e.id })
		if i < 0 {
			found = append(found, e)
		} else if len(found[i].names) == 0 {
			found[i] = e
		}
	}
	if len(found) == 0 {
		return nil, &EntryError{c.place, name, c.known()}
	}
	return found, nil
}

// known lists what the entries are called, each once.
func (c *collection) known() []string {
	var known []string
	for _, e := range c.entries {
		if l := e.label(); !slices.Contains(known, l) {
			known = append(known, l)
		}
	}
	return known
}

// one opens the only entry called name.
func (c *collection) one(name string) (*Source, error) {
	found, err := c.find(name)
	if err == nil && len(found) > 1 {
		err = c.ambiguous(name, found)
	}
	if err != nil {
		return nil, errors.Join(err, c.release())
	}
	sources, err := c.open(found)
	if err != nil {
		return nil, err
	}
	return sources[0], nil
}

func (c *collection) ambiguous(name string, found []item) error {
	if name == "" {
		labels := make([]string, len(found))
		for i, e := range found {
			labels[i] = e.label()
		}
		return &EntryError{c.place, name, labels}
	}
	return fmt.Errorf("%s holds %d images called %q; name one of them by its digest, as in %s", c.place, len(found), name, found[0].id)
}

// open opens entries. The collection is closed when the last of them is, or if one of them cannot be opened.
func (c *collection) open(entries []item) ([]*Source, error) {
	sources := make([]*Source, 0, len(entries))
	var users atomic.Int64
	users.Store(int64(len(entries)))
	for _, e := range entries {
		s, err := e.open()
		if err != nil {
			return nil, errors.Join(err, c.release())
		}
		s.sparse = c.sparse
		s.close = func() error {
			if users.Add(-1) != 0 {
				return nil
			}
			return c.release()
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func (c *collection) release() error {
	if c.close == nil {
		return nil
	}
	return c.close()
}

// sourceOf opens what a descriptor of the layout l means.
func sourceOf(l layout, d v1.Descriptor) (*Source, error) {
	s := &Source{Root: d}
	var err error
	switch {
	case d.MediaType.IsIndex():
		s.Index = l.index(d)
	case d.MediaType.IsImage():
		s.Image, err = l.image(d)
	default:
		err = &KindError{d.MediaType}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}
