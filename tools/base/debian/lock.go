package debian

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// Format is part of the cache keys of layers. It changes whenever Merge creates other layers from the same packages.
const Format = "multiarch-debian-1"

// parallelIndexes limits the number of uncompressed indexes in memory.
const parallelIndexes = 2

// Locker resolves the packages of bases for the lock file.
type Locker struct {
	// Mirrors are the mirrors of the machine. A base may replace them.
	Mirrors Mirrors
	// Keyring verifies archives (default: the keys of the Debian archive).
	Keyring   []byte
	Transport http.RoundTripper
	// Notify, if it is set, is called with retries and fallbacks. Calls may overlap.
	Notify func(message string)
	// Progress, if it is set, is called after each downloaded index of an architecture, with sizes in bytes. Calls may
	// overlap.
	Progress func(architecture string, done, total int64)

	pause time.Duration // as in Archive
}

// Lock resolves the packages of a base for every required architecture. They come from the suite and, unless the base
// disables them, from its security updates and its updates between point releases. The highest version of a package
// wins. Errors of all architectures are reported.
func (l *Locker) Lock(ctx context.Context, w lock.Requirement) (*lock.Debian, error) {
	mirrors := l.Mirrors.ForBase(w.Base.Debian.Mirror, w.Base.Debian.Security, w.Base.Debian.Keyring)
	archive := Archive{
		Mirrors: mirrors.Main, Frozen: mirrors.Frozen, Suite: w.Base.Debian.Suite, Components: w.Base.Debian.Components,
		Keyring: l.Keyring, Transport: l.Transport, Notify: l.Notify, pause: l.pause,
		IgnoreValidUntil: w.Base.Debian.CheckValidUntil != nil && !*w.Base.Debian.CheckValidUntil,
	}
	suites, err := archive.suites(ctx)
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", w.Name, err)
	}
	// All architectures use the same signed Release file. If the mirror is being updated and lacks one of its indexes, all
	// of them use the next one.
	for i, s := range suites {
		locked, failure := l.lock(ctx, w, s, s.updateSuites(mirrors.Security, w.Base.Debian.Security.Off))
		if failure == nil {
			return locked, nil
		}
		if err == nil {
			err = failure // under the requested name
		}
		if i+1 == len(suites) || !s.indexFailed.Load() || ctx.Err() != nil {
			break
		}
		next := suites[i+1]
		date := next.release.Date.Format(time.DateOnly)
		archive.notify("%s; using dists/%s of %s instead", oneLine(failure), next.Suite, date)
	}
	return nil, err
}

// lock resolves the packages of a base in a suite and its updates.
func (l *Locker) lock(
	ctx context.Context, w lock.Requirement, s *suite, updates []*updateSuite,
) (*lock.Debian, error) {
	for _, u := range updates {
		if err := u.open(ctx); err != nil {
			return nil, fmt.Errorf("base %s: %w", w.Name, err)
		}
	}
	architectures := w.Architectures()
	packages := make([][]Package, len(architectures))
	failed := make([]error, len(architectures))
	var group errgroup.Group
	group.SetLimit(parallelIndexes)
	for i, architecture := range architectures {
		group.Go(func() error {
			index, err := l.index(ctx, s, updates, architecture)
			if err == nil {
				packages[i], err = index.Resolve(w.Base.Debian.Packages, w.Base.Debian.Exclude)
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
	d := newLock(*w.Base.Debian, s.release, updates)
	for i, architecture := range architectures {
		for _, p := range packages[i] {
			d.Architectures[architecture] = append(d.Architectures[architecture], lock.Package(p))
		}
	}
	return d, nil
}

// newLock returns the lock of a base without its packages.
func newLock(base config.Debian, r *Release, updates []*updateSuite) *lock.Debian {
	d := &lock.Debian{
		Suite: base.Suite, Components: lock.Components(base),
		Packages: lock.Sorted(base.Packages), Exclude: lock.Sorted(base.Exclude),
		Mirror: base.Mirror, Keyring: base.Keyring, Security: &base.Security,
		Release: r.locked(), Architectures: map[string][]lock.Package{},
	}
	for _, u := range updates {
		for name, r := range u.used {
			if d.Archives == nil {
				d.Archives = map[string]lock.Archive{}
			}
			d.Archives[name] = lock.Archive{Release: r.locked(), Security: u.security}
		}
	}
	return d
}

// index reads the packages of a suite and its updates for an architecture.
func (l *Locker) index(
	ctx context.Context, s *suite, updates []*updateSuite, architecture string,
) (*Index, error) {
	size := s.release.indexSize(s.components(), architecture)
	progress := &indexProgress{architecture: architecture, report: l.Progress, total: size}
	for _, u := range updates {
		progress.total += u.size(architecture)
	}
	x := newIndex(s.Suite, architecture)
	if err := s.add(ctx, x, progress.add); err != nil {
		return nil, err
	}
	for _, u := range updates {
		if err := u.add(ctx, x, progress.add); err != nil {
			return nil, err
		}
	}
	x.selectVersions()
	return x, nil
}

// indexProgress counts the downloaded bytes of an architecture's indexes.
type indexProgress struct {
	architecture string
	report       func(architecture string, done, total int64)
	mu           sync.Mutex
	done, total  int64
}

func (p *indexProgress) add(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += bytes
	if p.report != nil {
		p.report(p.architecture, p.done, max(p.done, p.total))
	}
}

// locked returns the record of a Release file in the lock file.
func (r *Release) locked() lock.Release {
	return lock.Release{Codename: r.Codename, Date: r.Date.UTC().Format(time.RFC3339), SHA256: r.SHA256}
}

// indexSize returns the size of the smallest index files of an architecture.
func (r *Release) indexSize(components []string, arch string) (size int64) {
	for _, component := range components {
		if files := r.indexFiles(component, arch); len(files) > 0 {
			size += r.files[files[0]].size
		}
	}
	return size
}
