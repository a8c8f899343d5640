package cache

import (
	"os"
	"path/filepath"
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
	if info, err := os.Stat(stamp); err == nil && now.Sub(info.ModTime()) < trimEvery {
		return
	}
	if os.WriteFile(stamp, nil, 0o644) != nil || os.Chtimes(stamp, now, now) != nil {
		return
	}
	removeOlder(s.path("tmp"), now.Add(-keepTemporary))
	removeOlder(s.path("blobs", "sha256"), now.Add(-keepUnused))
	removeOlder(s.path("records"), now.Add(-keepUnused))
	removeOlder(s.path("go"), now.Add(-keepUnused))
}

func removeOlder(dir string, before time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// used keeps what was just used from being trimmed. Where that fails, it is at worst made again.
func used(file string) {
	now := time.Now()
	_ = os.Chtimes(file, now, now)
}
