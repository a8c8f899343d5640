package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/gofrs/flock"
)

// lockRetry is how often a lock that another process holds is tried again.
const lockRetry = 20 * time.Millisecond

// Lock takes the lock that is a file of the cache, and waits while another process holds it. what says in an error
// message what was waited for. If the cache is removed, two processes may hold the lock; what they write is complete
// and checked all the same.
func (s *Store) Lock(ctx context.Context, file, what string) (unlock func(), err error) {
	if err := clear(file); err != nil {
		return nil, s.failed(err)
	}
	lock := flock.New(file)
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
		return nil, s.failed(err)
	}
	return func() { _ = lock.Close() }, nil
}
