package cache

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockRetry is the interval between attempts to take a lock that another process holds.
const lockRetry = 20 * time.Millisecond

// Lock takes a file lock in the cache, waiting while another process holds it. what describes in
// errors what was waited for. If the cache is removed, two processes may hold the lock; what they
// write is nevertheless complete and verified.
func (s *Store) Lock(ctx context.Context, file, what string) (unlock func(), err error) {
	err = s.again(func() error {
		if err := makeFolder(filepath.Dir(file), true); err != nil {
			return s.failed(err)
		}
		if err := clear(file); err != nil {
			return s.failed(err)
		}
		lock := flock.New(file)
		if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
			}
			return s.failed(err)
		}
		unlock = func() { _ = lock.Close() }
		return nil
	})
	return unlock, err
}
