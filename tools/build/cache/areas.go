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

// Areas of a cache.
const (
	Blobs     Area = "blobs"     // layers, bases and packages, by digest
	Records   Area = "records"   // inputs and results of builds
	Programs  Area = "programs"  // compiled programs
	Temporary Area = "temporary" // unfinished downloads and leftovers of killed processes
)

// area is a directory of the cache and the names of its entries. Other files are never touched: the
// cache may be in a directory with other content, such as a home directory that has its own go
// directory.
type area struct {
	name    Area
	dir     string
	entries *regexp.Regexp
}

// ProgramsFolder is the directory of the cache whose subdirectories hold compiled programs.
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

// Usage is the size of an area.
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

// Damage is a damaged entry that has been removed.
type Damage struct {
	Area Area   `json:"area"`
	Path string `json:"path"`
}

// CheckEntries reads every blob and record, removes damaged ones and returns them.
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

// EachRecord calls visit with the JSON value of every intact record of a kind.
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

// Clean removes everything from the cache. Other files in its directory are kept.
func (s *Store) Clean() error {
	for _, a := range s.areas() {
		err := a.each(func(path string, _ os.DirEntry) error { return os.RemoveAll(path) })
		if err != nil {
			return &UnusableError{s.dir, err}
		}
		_ = os.Remove(a.dir) // fails if other files are in it
	}
	for _, rest := range []string{"blobs", "trimmed"} {
		_ = os.Remove(s.path(rest))
	}
	return nil
}
