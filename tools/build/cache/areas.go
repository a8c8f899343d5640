package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Area is a part of the cache.
type Area string

// The areas of a cache.
const (
	Blobs     Area = "blobs"     // layers, bases and packages, by digest
	Records   Area = "records"   // what was made of what
	Programs  Area = "programs"  // compiled programs
	Temporary Area = "temporary" // unfinished downloads, and what killed processes left behind
)

// area is a folder of the cache with the names that its entries have. Nothing else in the folder is ever touched: the
// cache may be in a folder with other things, such as a home directory with a go folder of its own.
type area struct {
	name    Area
	dir     string
	entries *regexp.Regexp
}

// ProgramsFolder is the folder, below the cache, in which each folder holds compiled programs.
const ProgramsFolder = "go"

var (
	blobNames      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	recordNames    = regexp.MustCompile(`^[a-z-]+-[0-9a-f]{64}$`)
	programNames   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	temporaryNames = regexp.MustCompile(`^(blob-|record-|part-[0-9a-f]{64}|debian-)`)
)

func (s *Store) areas() []area {
	return []area{
		{Blobs, s.path("blobs", "sha256"), blobNames},
		{Records, s.path("records"), recordNames},
		{Programs, s.path(ProgramsFolder), programNames},
		{Temporary, s.path("tmp"), temporaryNames},
	}
}

// each visits the entries of an area. Entries that disappear are skipped.
func (a area) each(visit func(path string, e os.DirEntry) error) error {
	entries, err := os.ReadDir(a.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !a.entries.MatchString(e.Name()) {
			continue
		}
		if err := visit(filepath.Join(a.dir, e.Name()), e); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Usage is how much an area holds.
type Usage struct {
	Area  Area  `json:"area"`
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Usage returns the size of every area.
func (s *Store) Usage() ([]Usage, error) {
	var all []Usage
	for _, a := range s.areas() {
		u := Usage{Area: a.name}
		err := a.each(func(path string, _ os.DirEntry) error {
			return filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				info, err := d.Info()
				if err == nil {
					u.Files++
					u.Bytes += info.Size()
				}
				return err
			})
		})
		if err != nil {
			return nil, &UnusableError{s.dir, err}
		}
		all = append(all, u)
	}
	return all, nil
}

// Damage is an entry that was damaged and has been removed.
type Damage struct {
	Area Area   `json:"area"`
	Path string `json:"path"`
}

// CheckEntries reads every blob and every record, removes those that are damaged, and returns them.
func (s *Store) CheckEntries(ctx context.Context) (damaged []Damage, err error) {
	for _, a := range s.areas() {
		err := a.each(func(path string, e os.DirEntry) error {
			intact := true
			switch a.name {
			case Blobs:
				intact = s.Check(v1.Hash{Algorithm: "sha256", Hex: e.Name()})
			case Records:
				_, intact = s.record(e.Name())
			case Programs, Temporary:
			}
			if !intact {
				damaged = append(damaged, Damage{a.name, path})
				return os.RemoveAll(path)
			}
			return ctx.Err()
		})
		if ctx.Err() != nil {
			return damaged, ctx.Err()
		}
		if err != nil {
			return damaged, &UnusableError{s.dir, err}
		}
	}
	return damaged, nil
}

// EachRecord calls visit with the value, as JSON, of every sound record of a kind.
func (s *Store) EachRecord(kind string, visit func(value []byte) error) error {
	records := area{Records, s.path("records"), regexp.MustCompile(`^` + regexp.QuoteMeta(kind) + `-[0-9a-f]{64}$`)}
	return records.each(func(_ string, e os.DirEntry) error {
		value, ok := s.record(e.Name())
		if !ok {
			return nil
		}
		return visit(value)
	})
}

// Clean removes everything that the cache holds. Files in its folder that are not the cache's stay.
func (s *Store) Clean() error {
	for _, a := range s.areas() {
		err := a.each(func(path string, _ os.DirEntry) error { return os.RemoveAll(path) })
		if err != nil {
			return &UnusableError{s.dir, err}
		}
		_ = os.Remove(a.dir) // stays if something else is in it
	}
	for _, rest := range []string{"blobs", "trimmed"} {
		_ = os.Remove(s.path(rest))
	}
	return nil
}
