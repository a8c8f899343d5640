package push

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"
)

// jobs is how many requests are under way to a registry at once where nobody says. What takes the time of a release is
// waiting for the answers to small requests: from a registry that is 20 ms away, go-containerregistry's four at a time
// are 200 answers a second, however much the network could carry. Ninety-six are fewer than the hundred streams and more
// that HTTP/2 servers allow a connection. A registry that takes fewer says 429, which is obeyed, or is given a limit.
const jobs = 96

// Large blobs are another matter: what takes their time is the network, and registries give up on uploads that get a
// small part of it each. Few at a time are as fast.
const (
	large     = 4 << 20 // bytes
	largeJobs = 8
)

// lane is a registry, or the large uploads to it.
type lane struct {
	host  string
	large bool
}

// lanes are what is to be done.
type lanes map[lane][]func(context.Context) error

// add adds work that sends small requests to the registry of repo, one at a time.
func (l lanes) add(repo name.Repository, work func(context.Context) error) { l.sized(repo, 0, work) }

// sized adds work that sends so many bytes.
func (l lanes) sized(repo name.Repository, size int64, work func(context.Context) error) {
	to := lane{repo.RegistryStr(), size >= large}
	l[to] = append(l[to], work)
}

// limit is how much of the work in a lane is done at a time. Both lanes of a registry together keep its limit.
func (p *push) limit(l lanes, of lane) int {
	all := p.client.JobsOf(of.host)
	_, small := l[lane{of.host, false}]
	_, large := l[lane{of.host, true}]
	narrow := min(largeJobs, max(1, all/2))
	switch {
	case of.large && !small:
		return min(largeJobs, all)
	case of.large:
		return narrow
	case large:
		return all - narrow
	}
	return all
}

// run does the work, as much of it at a time as each registry is to bear, and stops at the first error.
func (p *push) run(ctx context.Context, l lanes) error {
	l.merge(p)
	all, ctx := errgroup.WithContext(ctx)
	for of, list := range l {
		all.Go(func() error {
			group, inner := errgroup.WithContext(ctx)
			group.SetLimit(p.limit(l, of))
			for _, work := range list {
				if inner.Err() != nil {
					break
				}
				group.Go(func() error { return located(of.host, mayPush, work(inner)) })
			}
			if err := group.Wait(); err != nil {
				return err
			}
			return ctx.Err()
		})
	}
	return all.Wait()
}

// merge makes one lane of both where a registry takes a single request at a time.
func (l lanes) merge(p *push) {
	for of, list := range l {
		if of.large && p.client.JobsOf(of.host) == 1 {
			small := lane{of.host, false}
			l[small] = append(list, l[small]...)
			delete(l, of)
		}
	}
}
