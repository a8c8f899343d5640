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

// CheckPrograms reads every compiled program in a cache, removes those that match no record, and returns them. It waits
// for builds that are compiling.
func CheckPrograms(ctx context.Context, store *cache.Store) (damaged []cache.Damage, err error) {
	known := map[string]record{}
	err = store.EachRecord(recordKind, func(value []byte) error {
		var r record
		if json.Unmarshal(value, &r) == nil {
			known[filepath.Join(r.RequestDir, r.Slot, r.Name)] = r
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	top := filepath.Join(store.Dir(), cache.ProgramsFolder)
	dirs, err := os.ReadDir(top)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		unlock, err := store.Lock(ctx, filepath.Join(top, d.Name(), lockFile), "a build that is compiling")
		if err != nil {
			return damaged, err
		}
		found, err := checkRequestDir(top, d.Name(), known)
		unlock()
		damaged = append(damaged, found...)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return damaged, err
		}
	}
	return damaged, nil
}

func checkRequestDir(top, dir string, known map[string]record) (damaged []cache.Damage, err error) {
	err = filepath.WalkDir(filepath.Join(top, dir), func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), workPrefix):
			return filepath.SkipDir
		case e.IsDir(), filepath.Dir(path) == filepath.Join(top, dir):
			return nil
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		r, recorded := known[name]
		got, err := readBinary(path)
		if !recorded || err != nil || got.SHA256 != r.SHA256 || got.Size != r.Size {
			damaged = append(damaged, cache.Damage{Area: cache.Programs, Path: path})
			return os.RemoveAll(path)
		}
		return nil
	})
	return damaged, err
}
