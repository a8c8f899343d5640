package gobuild

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// CheckPrograms reads every compiled program in a cache, removes those that are not what a record says, and returns them.
// Builds that are compiling finish first.
func CheckPrograms(ctx context.Context, store *cache.Store) (damaged []cache.Damage, err error) {
	known := map[string]record{}
	err = store.EachRecord(recordKind, func(value []byte) error {
		var r record
		if json.Unmarshal(value, &r) == nil {
			known[filepath.Join(r.Unit, r.Slot, r.Name)] = r
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	top := filepath.Join(store.Dir(), cache.ProgramsFolder)
	units, err := os.ReadDir(top)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, u := range units {
		if !u.IsDir() {
			continue
		}
		unlock, err := store.Lock(ctx, filepath.Join(top, u.Name(), lockFile), "a build that is compiling")
		if err != nil {
			return damaged, err
		}
		found, err := checkUnit(top, u.Name(), known)
		unlock()
		damaged = append(damaged, found...)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return damaged, err
		}
	}
	return damaged, nil
}

func checkUnit(top, unit string, known map[string]record) (damaged []cache.Damage, err error) {
	err = filepath.WalkDir(filepath.Join(top, unit), func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), workPrefix):
			return filepath.SkipDir
		case e.IsDir(), filepath.Dir(path) == filepath.Join(top, unit):
			return nil
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		r, recorded := known[name]
		got, err := measure(path)
		if !recorded || err != nil || got.SHA256 != r.SHA256 || got.Size != r.Size {
			damaged = append(damaged, cache.Damage{Area: cache.Programs, Path: path})
			return os.RemoveAll(path)
		}
		return nil
	})
	return damaged, err
}
