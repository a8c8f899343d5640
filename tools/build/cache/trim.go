package cache

import (
	"os"
	"time"
)

// Unused entries are removed after this time, as in the go command's cache, and leftovers of killed
// processes after a day.
const (
	keepUnused    = 14 * 24 * time.Hour
	keepTemporary = 24 * time.Hour
	trimEvery     = 24 * time.Hour
)

// trim removes old entries, at most once a day. Failures are ignored until the next time.
func (s *Store) trim(now time.Time) {
	stamp := s.path("trimmed")
	if clear(stamp) != nil {
		return
	}
	if info, err := os.Stat(stamp); err == nil && now.Sub(info.ModTime()) < trimEvery {
		return
	}
	if os.WriteFile(stamp, nil, 0o644) != nil || os.Chtimes(stamp, now, now) != nil {
		return
	}
	for _, a := range s.areas() {
		before := now.Add(-keepUnused)
		if a.name == Temporary {
			before = now.Add(-keepTemporary)
		}
		_ = a.each(func(path string, e os.DirEntry) error {
			if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
				_ = os.RemoveAll(path)
			}
			return nil
		})
	}
}

// used protects a recently used entry from being trimmed. If that fails, the entry may have to be
// built again.
func used(file string) {
	now := time.Now()
	_ = os.Chtimes(file, now, now)
}
