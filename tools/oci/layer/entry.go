package layer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Kind is what an entry is.
type Kind string

// The kinds of entries.
const (
	File    Kind = "file"
	Dir     Kind = "dir"
	Symlink Kind = "symlink"
)

// Entry is one file, directory or symbolic link of a layer.
type Entry struct {
	Path string `json:"path"` // absolute and clean, with slashes
	Kind Kind   `json:"kind"`
	Mode uint32 `json:"mode,omitempty"` // permission bits with setuid, setgid and sticky, as in chmod
	UID  int    `json:"uid,omitempty"`
	GID  int    `json:"gid,omitempty"`
	Link string `json:"link,omitempty"` // where a symbolic link points
	// ModTime is that of a directory of the base; zero is the epoch that the layer is written with.
	ModTime time.Time `json:"modTime,omitzero"`
	// Xattrs are extended attributes, such as security.capability.
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
	// KeepOwner and KeepMode leave a directory of the base its own owner and mode; see Place.
	KeepOwner bool `json:"-"`
	KeepMode  bool `json:"-"`
	// Rank decides between entries of one directory: those of the highest rank count, and they must be alike.
	Rank     Rank   `json:"rank,omitempty"`
	Size     int64  `json:"size,omitempty"`   // of a file, in bytes
	SHA256   string `json:"sha256,omitempty"` // of a file's content, in hexadecimal; "" where nobody has read it yet
	From     string `json:"-"`                // where it comes from, for messages; "" where it comes from no file
	Contents Opener `json:"-"`                // a file's content; unread until the layer is written
}

// Rank is how much an entry insists on what it says of a directory.
type Rank int

// The ranks of directories, from the lowest. What they are put for decides; files and links all have RankFiles.
const (
	RankNeeded   Rank = iota - 1 // the directory has to exist, such as the working directory
	RankFiles                    // it came with files
	RankExplicit                 // its owner and mode were written down
)

// Opener opens a file's content. Each call reads from the start.
type Opener func() (io.ReadCloser, error)

// Open opens the content of a file.
func (e Entry) Open() (io.ReadCloser, error) { return e.Contents() }

// Content returns an entry for a file whose content is in memory.
func Content(path string, mode uint32, content []byte) Entry {
	sum := sha256.Sum256(content)
	return Entry{
		Path: path, Kind: File, Mode: mode, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
		Contents: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(content))), nil },
	}
}

// same tells whether two entries would be written alike.
func (e Entry) same(o Entry) bool {
	return e.Path == o.Path && e.Kind == o.Kind && e.Mode == o.Mode && e.UID == o.UID && e.GID == o.GID &&
		e.Link == o.Link && e.Size == o.Size && e.SHA256 == o.SHA256 && e.ModTime.Equal(o.ModTime) &&
		maps.EqualFunc(e.Xattrs, o.Xattrs, bytes.Equal)
}

// read finds out the digest of a file's content where it is not known. Only entries that are compared need it.
func (e *Entry) read() error {
	if e.Kind != File || e.SHA256 != "" {
		return nil
	}
	content, err := e.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return fmt.Errorf("reading the content of %s: %w", e.Path, err)
	}
	e.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// ConflictError is returned for two different entries of one path.
type ConflictError struct{ A, B Entry }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("two different entries for %s: %s and %s", e.A.Path, e.A.describe(), e.B.describe())
}

// Hint says how the conflict can end.
func (e *ConflictError) Hint() string {
	if e.A.Kind == Dir && e.B.Kind == Dir {
		return "give the directory its owner and mode in directories:, or give both the same"
	}
	return "give one of them another path (to:), or leave it out (glob:)"
}

func (e Entry) describe() string {
	is := fmt.Sprintf("a directory with mode %04o and owner %d:%d", e.Mode, e.UID, e.GID)
	switch e.Kind {
	case File:
		is = fmt.Sprintf("a file of %d bytes with mode %04o and owner %d:%d (sha256 %.12s)", e.Size, e.Mode, e.UID, e.GID, e.SHA256)
		if len(e.Xattrs) > 0 {
			is += " and file capabilities"
		}
	case Symlink:
		is = "a link to " + e.Link
	}
	if e.From == "" {
		return is
	}
	return e.From + ", " + is
}

// conventional are the directories whose mode or owner is not that of the others. A layer that has to create them,
// because something is put below, must not take from them what the base gave.
var conventional = map[string]Entry{
	"/root":         {Mode: 0o700},
	"/tmp":          {Mode: 0o1777},
	"/var/tmp":      {Mode: 0o1777},
	"/home/nonroot": {Mode: 0o700, UID: 65532, GID: 65532},
}

const windows = "windows"

// arrange sorts entries, adds the parents that are missing, and moves them to where the operating system wants them.
func arrange(entries []Entry, os string) ([]Entry, error) {
	byPath := make(map[string]Entry, len(entries)*2)
	for _, e := range entries {
		if err := e.check(); err != nil {
			return nil, err
		}
		if other, ok := byPath[e.Path]; ok {
			if decided, ok := decide(other, e); ok {
				byPath[e.Path] = decided
				continue
			}
			if err := errors.Join(other.read(), e.read()); err != nil {
				return nil, err
			}
			if !other.same(e) {
				return nil, &ConflictError{other, e}
			}
		}
		byPath[e.Path] = e
	}
	for _, e := range entries {
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			if other, ok := byPath[dir]; ok {
				if other.Kind != Dir {
					return nil, &ConflictError{other, Entry{Path: dir, Kind: Dir, Mode: 0o755}}
				}
				continue
			}
			byPath[dir] = newDirectory(dir)
		}
	}
	arranged := make([]Entry, 0, len(byPath)+2)
	for _, e := range byPath {
		if os == windows {
			e.Path = "/Files" + e.Path
		}
		arranged = append(arranged, e)
	}
	if os == windows {
		// The form Windows wants: https://github.com/opencontainers/image-spec/blob/main/layer.md and what ko writes.
		arranged = append(arranged, Entry{Path: "/Files", Kind: Dir, Mode: 0o555}, Entry{Path: "/Hives", Kind: Dir, Mode: 0o555})
	}
	slices.SortFunc(arranged, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return arranged, nil
}

// decide returns the one of two entries of a path that outranks the other. A directory that is only needed gives way to a
// link as well.
func decide(a, b Entry) (Entry, bool) {
	if a.Rank > b.Rank {
		a, b = b, a
	}
	gives := b.Kind == Dir || b.Kind == Symlink && a.Rank == RankNeeded
	return b, a.Kind == Dir && a.Rank < b.Rank && gives
}
