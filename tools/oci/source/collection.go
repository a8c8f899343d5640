package source

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// collection lists the images and indexes of an OCI layout or an archive.
type collection struct {
	place   string // the directory or file, for messages
	entries []entry
	sparse  bool         // see Source.Sparse
	close   func() error // nil if there is nothing to close
}

// entry is an image or index of a collection. It need not be readable: other tools also list artifacts, images without
// their blobs, and digests of other algorithms.
type entry struct {
	names []string
	id    string // the digest, as the collection spells it
	// auxiliary entries are attestations, signatures and other artifacts. They are opened only by name.
	auxiliary bool
	// matches reports whether a name other than "" selects this entry.
	matches func(name string) bool
	open    func() (*Source, error)
}

// label returns the name of the entry for messages.
func (e entry) label() string {
	if len(e.names) > 0 {
		return e.names[0]
	}
	return e.id
}

// find returns the entries called name, each digest once. If name is "", these are all images, or all entries if none
// of them is an image. If there are none, the error is an *EntryError.
func (c *collection) find(name string) ([]entry, error) {
	candidates := c.entries
	if name == "" {
		images := slices.DeleteFunc(slices.Clone(c.entries), func(e entry) bool { return e.auxiliary })
		if len(images) > 0 {
			candidates = images
		}
	}
	var found []entry
	for _, e := range candidates {
		if name != "" && !e.matches(name) {
			continue
		}
		i := slices.IndexFunc(found, func(f entry) bool { return f.id == e.id })
		if i < 0 {
			found = append(found, e)
		} else if len(found[i].names) == 0 {
			found[i] = e
		}
	}
	if len(found) == 0 {
		return nil, &EntryError{c.place, name, c.labels()}
	}
	return found, nil
}

// labels lists the labels of all entries, each once.
func (c *collection) labels() []string {
	var labels []string
	for _, e := range c.entries {
		if l := e.label(); !slices.Contains(labels, l) {
			labels = append(labels, l)
		}
	}
	return labels
}

// openOne opens the only entry called name.
func (c *collection) openOne(name string) (*Source, error) {
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

func (c *collection) ambiguous(name string, found []entry) error {
	if name == "" {
		labels := make([]string, len(found))
		for i, e := range found {
			labels[i] = e.label()
		}
		return &EntryError{c.place, name, labels}
	}
	return fmt.Errorf("%s has %d images called %q; select one by its digest, as in %s",
		c.place, len(found), name, found[0].id)
}

// open opens entries. The collection is closed with the last of them, or if one cannot be opened.
func (c *collection) open(entries []entry) ([]*Source, error) {
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
