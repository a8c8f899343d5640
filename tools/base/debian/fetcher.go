package debian

import (
	"context"
	"net/http"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// parallelPackages limits parallel downloads.
const parallelPackages = 8

// Fetcher downloads the packages of locked bases.
type Fetcher struct {
	// Mirrors returns the mirrors of the machine. It is called only if a package must be downloaded.
	Mirrors   func() (Mirrors, error)
	Transport http.RoundTripper
	// Notify, if it is set, is called with retries and fallbacks. Calls may overlap.
	Notify func(message string)
}

// Fetch downloads those packages of a locked base that a store lacks. progress, if it is set, is called after each
// download, with sizes in bytes. Calls do not overlap.
func (f Fetcher) Fetch(
	ctx context.Context, store *cache.Store, base *lock.Debian, packages []lock.Package, progress func(done, total int64),
) ([]Deb, error) {
	missing := map[string]bool{}
	var done, total int64
	for _, p := range packages {
		if h := (v1.Hash{Algorithm: "sha256", Hex: p.SHA256}); !store.Has(h, p.Size) || !store.Check(h) {
			missing[p.SHA256] = true
			total += p.Size
		}
	}
	var mirrors Mirrors
	if len(missing) > 0 {
		var err error
		if mirrors, err = f.Mirrors(); err != nil {
			return nil, err
		}
		security := config.Security{}
		if base.Security != nil {
			security = *base.Security
		}
		mirrors = mirrors.ForBase(base.Mirror, security, base.Keyring)
	}
	debs := make([]Deb, len(packages))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelPackages)
	for i, p := range packages {
		group.Go(func() (err error) {
			archive := mirrors.Archive(base.Origin(p))
			archive.Transport, archive.Notify = f.Transport, f.Notify
			debs[i], err = archive.Fetch(ctx, store, Package(p))
			if err != nil || !missing[p.SHA256] || progress == nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done += p.Size
			progress(done, total)
			return nil
		})
	}
	return debs, group.Wait()
}
