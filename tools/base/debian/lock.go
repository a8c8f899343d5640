package debian

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/lock"
)

// Format names what this version of the package makes of packages. It changes whenever that does, so that a cache never
// takes an old layer for a new one.
const Format = "multiarch-debian-1"

// indexes is how many indexes are read at a time: each is a list of all packages of the suite, unpacked.
const indexes = 2

// Lock finds out what the packages of a base are right now, for every architecture that is wanted, all of them from one
// signed Release. What is wrong for several architectures is said for each. Suite and components are the base's own,
// whatever those of the archive are.
func (a Archive) Lock(ctx context.Context, w lock.Want) (*lock.Debian, error) {
	asked := w.Base.Debian
	a.Suite, a.Components = asked.Suite, asked.Components
	release, err := a.Release(ctx)
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", w.Name, err)
	}
	architectures := w.Architectures()
	found := make([][]Package, len(architectures))
	failed := make([]error, len(architectures))
	var group errgroup.Group
	group.SetLimit(indexes)
	for i, architecture := range architectures {
		group.Go(func() error {
			index, err := a.Index(ctx, release, architecture)
			if err == nil {
				found[i], err = index.Resolve(asked.Packages, asked.Exclude)
			}
			if err != nil {
				failed[i] = fmt.Errorf("base %s: %w", w.Name, err)
			}
			return nil
		})
	}
	_ = group.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	d := &lock.Debian{
		Suite: asked.Suite, Components: lock.Components(*asked), Packages: lock.Sorted(asked.Packages), Exclude: lock.Sorted(asked.Exclude), Mirror: asked.Mirror,
		Release:       lock.Release{Codename: release.Codename, Date: release.Date.UTC().Format(time.RFC3339), SHA256: release.SHA256},
		Architectures: map[string][]lock.Package{},
	}
	for i, architecture := range architectures {
		for _, p := range found[i] {
			d.Architectures[architecture] = append(d.Architectures[architecture], lock.Package(p))
		}
	}
	return d, nil
}
