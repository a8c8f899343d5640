package run

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Roots of images are in directories of the temporary directory. Each is locked for as long as the process that made it
// lives: what is not locked was left behind by one that was killed.
const (
	rootPrefix = "multiarch-run-"
	// newPrefix is that of a directory that may not be locked yet.
	newPrefix = ".new-" + rootPrefix
	// newAge is after how long such a directory is one that was left behind.
	newAge = time.Hour
)

// lockedDirectory makes a directory for a root and locks it. The lock ends with release, or with the process.
func lockedDirectory() (dir string, release func(), err error) {
	made, err := os.MkdirTemp("", newPrefix)
	if err != nil {
		return "", nil, err
	}
	f, err := os.Open(made)
	if err == nil {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			dir = filepath.Join(filepath.Dir(made), filepath.Base(made)[len(".new-"):])
			err = os.Rename(made, dir)
		}
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(made)
		return "", nil, err
	}
	return dir, func() { _ = f.Close() }, nil
}

// removeLeftovers removes the roots of processes that were killed. What cannot be removed stays.
func removeLeftovers() {
	entries, _ := os.ReadDir(os.TempDir())
	for _, e := range entries {
		isNew := strings.HasPrefix(e.Name(), newPrefix)
		if !isNew && !strings.HasPrefix(e.Name(), rootPrefix) {
			continue
		}
		dir := filepath.Join(os.TempDir(), e.Name())
		if f := abandoned(dir, isNew); f != nil {
			_ = removeAll(dir)
			_ = f.Close()
		}
	}
}

// abandoned locks a directory of ours that no process uses any more. It returns nil for any other.
func abandoned(dir string, maybeNew bool) *os.File {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return nil
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return nil
	}
	if maybeNew && time.Since(info.ModTime()) < newAge {
		return nil
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = f.Close()
		return nil
	}
	return f
}
