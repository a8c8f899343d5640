package source

import (
	"context"
	"errors"
	"fmt"
)

// Stored is an image or image index of an OCI archive, with everything it is called there.
type Stored struct {
	*Source
	Names []string
}

// OpenStored opens all that has a name in the OCI archive at file, each digest once, in the order in which the archive
// has them. A name is the full reference in io.containerd.image.name, or else org.opencontainers.image.ref.name, which may
// be a mere tag. An archive in which nothing has a name is an error: there is nothing to call it elsewhere. The caller
// closes all of them.
func OpenStored(ctx context.Context, file string) ([]Stored, error) {
	all, err := openStored(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", file, err)
	}
	return all, nil
}

func openStored(ctx context.Context, file string) ([]Stored, error) {
	c, err := openArchive(ctx, file, (*archive).asLayout)
	if err != nil {
		return nil, err
	}
	var named []item
	names := map[string][]string{}
	for _, e := range c.entries {
		if len(e.names) == 0 {
			continue
		}
		if _, known := names[e.id]; !known {
			named = append(named, e)
		}
		names[e.id] = append(names[e.id], e.names[len(e.names)-1]) // the full reference comes last
	}
	if len(named) == 0 {
		return nil, errors.Join(errors.New("no image in it has a name (org.opencontainers.image.ref.name)"), c.release())
	}
	sources, err := c.open(named)
	if err != nil {
		return nil, err
	}
	all := make([]Stored, len(sources))
	for i, s := range sources {
		all[i] = Stored{Source: s, Names: names[named[i].id]}
		s.Name = all[i].Names[0]
	}
	return all, nil
}
