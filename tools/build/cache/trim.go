package cache

import (
	"os"
	"time"
)

// What has not been used for so long is removed, as the go command does with its own cache; and what a killed process
// left half-written, after a day.
const (
	keepUnused    = 14 * 24 * time.Hour
	keepTemporary = 24 * time.Hour
	trimEvery     = 24 * time.Hour
)

// trim removes what is old, at most once a day. It is housekeeping: whatever fails is left for the next time.
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

// used keeps what was just used from being trimmed. If that fails, it is at worst made again.
func used(file string) {
	now := time.Now()
	_ = os.Chtimes(file, now, now)
}
