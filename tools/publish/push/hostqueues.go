package push

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"
)

// defaultJobs is the number of concurrent requests per registry. Small requests spend their time waiting: at 20 ms per
// request, go-containerregistry's four at a time are only 200 per second. HTTP/2 servers allow at least a hundred
// streams per connection. A registry that accepts fewer answers 429, or gets a limit in the client.
const defaultJobs = 96

// Large blobs wait for bandwidth instead, and registries time out slow uploads. A few at a time are as fast.
const (
	largeSize = 4 << 20 // bytes
	largeJobs = 8
)

// queueKey identifies a queue: a registry, and whether it holds large uploads.
type queueKey struct {
	host  string
	large bool
}

// hostQueues are the requests to be sent, per registry.
type hostQueues map[queueKey][]func(context.Context) error

// add adds work that sends small requests to the registry of repo, one at a time.
func (q hostQueues) add(repo name.Repository, work func(context.Context) error) {
	q.addSized(repo, 0, work)
}

// addSized adds work that sends size bytes.
func (q hostQueues) addSized(repo name.Repository, size int64, work func(context.Context) error) {
	key := queueKey{repo.RegistryStr(), size >= largeSize}
	q[key] = append(q[key], work)
}

// limit returns how many requests of a queue run concurrently. Both queues of a registry share its limit.
func (p *pusher) limit(q hostQueues, key queueKey) int {
	all := p.client.JobsOf(key.host)
	_, small := q[queueKey{key.host, false}]
	_, large := q[queueKey{key.host, true}]
	share := min(largeJobs, max(1, all/2))
	switch {
	case key.large && !small:
		return min(largeJobs, all)
	case key.large:
		return share
	case large:
		return all - share
	}
	return all
}

// run executes the work within the limits of each registry, and stops at the first error.
func (p *pusher) run(ctx context.Context, q hostQueues) error {
	q.mergeIfSequential(p)
	all, ctx := errgroup.WithContext(ctx)
	for key, list := range q {
		all.Go(func() error {
			group, inner := errgroup.WithContext(ctx)
			group.SetLimit(p.limit(q, key))
			for _, work := range list {
				if inner.Err() != nil {
					break
				}
				group.Go(func() error { return atRegistry(key.host, actionPush, work(inner)) })
			}
			if err := group.Wait(); err != nil {
				return err
			}
			return ctx.Err()
		})
	}
	return all.Wait()
}

// mergeIfSequential merges both queues of a registry that accepts one request at a time.
func (q hostQueues) mergeIfSequential(p *pusher) {
	for key, list := range q {
		if key.large && p.client.JobsOf(key.host) == 1 {
			small := queueKey{key.host, false}
			q[small] = append(list, q[small]...)
			delete(q, key)
		}
	}
}
