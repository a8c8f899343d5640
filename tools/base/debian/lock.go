package debian

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// Format names what this version of the package makes of packages. It changes whenever that does, so that a cache never
// takes an old layer for a new one.
const Format = "multiarch-debian-1"

// parallelIndexes is how many indexes are read at a time: each is a list of all packages of the suite, unpacked.
const parallelIndexes = 2

// Locker finds out what the packages of bases are.
type Locker struct {
	// Mirrors are those of the machine. What a base names itself replaces them.
	Mirrors Mirrors
	// Keyring is that of bases that name none; none means the keys of the Debian archive.
	Keyring   []byte
	Transport http.RoundTripper
	// Notify, if it is set, is called with what a user may wonder about. Calls may overlap.
	Notify func(message string)
	// Progress, if it is set, is called when more of the indexes of an architecture has been read, in bytes. Calls may
	// overlap.
	Progress func(architecture string, done, total int64)

	pause time.Duration // as in Archive
}

// Lock finds out what the packages of a base are right now, for every architecture that is wanted. They come from the
// suite, and from the archives that belong to it unless the base does without: security updates, and updates between
// point releases. The highest version of a package counts. What is wrong for several architectures is reported for each.
func (l *Locker) Lock(ctx context.Context, w lock.Requirement) (*lock.Debian, error) {
	mirrors := l.Mirrors.Of(w.Base.Debian.Mirror, w.Base.Debian.Security, w.Base.Debian.Keyring)
	top := Archive{
		Mirrors: mirrors.Main, Frozen: mirrors.Frozen, Suite: w.Base.Debian.Suite, Components: w.Base.Debian.Components,
		Keyring: l.Keyring, Transport: l.Transport, Notify: l.Notify, pause: l.pause,
		AnyDate: w.Base.Debian.CheckValidUntil != nil && !*w.Base.Debian.CheckValidUntil,
	}
	suites, err := top.suites(ctx)
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", w.Name, err)
	}
	// All architectures come from one signed Release, so that it is another one for all if an index of the first is not to
	// be had: a mirror that is being updated.
	for i, s := range suites {
		locked, again := l.lock(ctx, w, s, s.companions(mirrors.Security, w.Base.Debian.Security.Off))
		if again == nil {
			return locked, nil
		}
		if err == nil {
			err = again // that of the name that was asked for
		}
		if i+1 < len(suites) && s.failed() && ctx.Err() == nil {
			top.notify("%s; taking dists/%s of %s instead", oneLine(again), suites[i+1].Suite, suites[i+1].release.Date.Format(time.DateOnly))
			continue
		}
		break
	}
	return nil, err
}

// lock resolves the packages of a base in a suite and its companions.
func (l *Locker) lock(ctx context.Context, w lock.Requirement, s *suite, companions []*companion) (*lock.Debian, error) {
	asked := w.Base.Debian
	architectures := w.Architectures()
	found := make([][]Package, len(architectures))
	failed := make([]error, len(architectures))
	for _, c := range companions {
		if err := c.open(ctx); err != nil {
			return nil, fmt.Errorf("base %s: %w", w.Name, err)
		}
	}
	var group errgroup.Group
	group.SetLimit(parallelIndexes)
	for i, architecture := range architectures {
		group.Go(func() error {
			index, err := l.index(ctx, s, companions, architecture)
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
	security := asked.Security
	d := &lock.Debian{
		Suite: asked.Suite, Components: lock.Components(*asked), Packages: lock.Sorted(asked.Packages), Exclude: lock.Sorted(asked.Exclude),
		Mirror: asked.Mirror, Keyring: asked.Keyring, Security: &security, Release: s.release.locked(), Architectures: map[string][]lock.Package{},
	}
	for _, c := range companions {
		for name, r := range c.used {
			if d.Archives == nil {
				d.Archives = map[string]lock.Archive{}
			}
			d.Archives[name] = lock.Archive{Release: r.locked(), Security: c.security}
		}
	}
	for i, architecture := range architectures {
		for _, p := range found[i] {
			d.Architectures[architecture] = append(d.Architectures[architecture], lock.Package(p))
		}
	}
	return d, nil
}

// index reads the packages for an architecture from a suite and its companions.
func (l *Locker) index(ctx context.Context, s *suite, companions []*companion, architecture string) (*Index, error) {
	count := &counter{architecture: architecture, report: l.Progress, total: s.release.size(s.components(), architecture)}
	for _, c := range companions {
		count.total += c.size(architecture)
	}
	x := newIndex(s.Suite, architecture)
	if err := s.add(ctx, x, count.add); err != nil {
		return nil, err
	}
	for _, c := range companions {
		if err := c.add(ctx, x, count.add); err != nil {
			return nil, err
		}
	}
	x.arrange()
	return x, nil
}

// counter adds up what has been read for an architecture.
type counter struct {
	architecture string
	report       func(architecture string, done, total int64)
	mu           sync.Mutex
	done, total  int64
}

func (c *counter) add(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += bytes
	if c.report != nil {
		c.report(c.architecture, c.done, max(c.done, c.total))
	}
}

// locked returns what the lock says about a Release.
func (r *Release) locked() lock.Release {
	return lock.Release{Codename: r.Codename, Date: r.Date.UTC().Format(time.RFC3339), SHA256: r.SHA256}
}

// size is how many bytes the indexes of an architecture have, in their smallest form.
func (r *Release) size(components []string, arch string) (size int64) {
	for _, component := range components {
		if forms := r.forms(component, arch); len(forms) > 0 {
			size += r.files[forms[0]].size
		}
	}
	return size
}
