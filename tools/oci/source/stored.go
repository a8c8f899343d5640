package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// Stored is an image or index of an OCI archive with all of its names.
type Stored struct {
	*Source
	Names []string
}

// OpenStored opens all named images of the OCI archive at file, each digest once, in the order of the archive. A name
// is the full reference in io.containerd.image.name or else org.opencontainers.image.ref.name, which may be only a tag.
// An archive without names is an error, because the images cannot be pushed or loaded. The caller closes the sources.
func OpenStored(ctx context.Context, file string) ([]Stored, error) {
	all, err := openStored(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", file, err)
	}
	return all, nil
}

func openStored(ctx context.Context, file string) ([]Stored, error) {
	c, err := openArchive(ctx, file, (*archive).readLayout)
	if err != nil {
		return nil, err
	}
	var named []entry
	names := map[string][]string{}
	for _, e := range c.entries {
		if len(e.names) == 0 {
			continue
		}
		if _, known := names[e.id]; !known {
			named = append(named, e)
		}
		names[e.id] = append(names[e.id], e.names[len(e.names)-1]) // the full reference is last
	}
	if len(named) == 0 {
		return nil, errors.Join(fmt.Errorf("it has no named image (annotation %s)", layout.NameAnnotation), c.release())
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
