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

// Kind is the type of an entry.
type Kind string

// Kinds of entries.
const (
	File    Kind = "file"
	Dir     Kind = "dir"
	Symlink Kind = "symlink"
)

// Entry is one file, directory or symbolic link of a layer.
type Entry struct {
	Path string `json:"path"` // absolute, clean and slash-separated
	Kind Kind   `json:"kind"`
	Mode uint32 `json:"mode,omitempty"` // permission bits with setuid, setgid and sticky, as in chmod
	UID  int    `json:"uid,omitempty"`
	GID  int    `json:"gid,omitempty"`
	Link string `json:"link,omitempty"` // target of a symbolic link
	// ModTime is the modification time of a directory of the base. Zero means the epoch of the
	// layer.
	ModTime time.Time `json:"modTime,omitzero"`
	// Xattrs are extended attributes, such as security.capability.
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
	// KeepOwner and KeepMode keep the owner and mode of a directory of the base; see Place.
	KeepOwner bool `json:"-"`
	KeepMode  bool `json:"-"`
	// Rank selects between entries of the same directory: those of the highest rank apply and must
	// be equal.
	Rank     Rank   `json:"rank,omitempty"`
	Size     int64  `json:"size,omitempty"`   // of a file, in bytes
	SHA256   string `json:"sha256,omitempty"` // of a file's content, in hexadecimal; "" if not yet known
	From     string `json:"-"`                // source file for messages, or ""
	Contents Opener `json:"-"`                // a file's content; read when the layer is written
}

// Rank orders entries of the same directory by how explicitly it was configured.
type Rank int

// Ranks of directories, from the lowest. Files and links have RankFiles.
const (
	RankNeeded   Rank = iota - 1 // must exist, such as the working directory
	RankFiles                    // exists because of files in it
	RankExplicit                 // configured explicitly
)

// Opener opens a file's content. Each call starts at the beginning.
type Opener func() (io.ReadCloser, error)

// Open opens the content of a file.
func (e Entry) Open() (io.ReadCloser, error) { return e.Contents() }

// NewFile returns an entry for a file with the given content.
func NewFile(path string, mode uint32, content []byte) Entry {
	sum := sha256.Sum256(content)
	return Entry{
		Path: path, Kind: File, Mode: mode, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
		Contents: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(content))), nil },
	}
}

// equal reports whether two entries would be written identically.
func (e Entry) equal(o Entry) bool {
	return e.Path == o.Path && e.Kind == o.Kind && e.Mode == o.Mode && e.UID == o.UID && e.GID == o.GID &&
		e.Link == o.Link && e.Size == o.Size && e.SHA256 == o.SHA256 && e.ModTime.Equal(o.ModTime) &&
		maps.EqualFunc(e.Xattrs, o.Xattrs, bytes.Equal)
}

// hash reads the content and sets its digest unless it is known. Only entries that are compared
// need it.
func (e *Entry) hash() error {
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

// ConflictError is returned for two different entries with the same path.
type ConflictError struct{ A, B Entry }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("two different entries for %s: %s and %s", e.A.Path, e.A.describe(), e.B.describe())
}

// Hint returns how to resolve the conflict.
func (e *ConflictError) Hint() string {
	if e.A.Kind == Dir && e.B.Kind == Dir {
		return "set owner and mode of the directory in directories:, or use the same for both"
	}
	return "change the path of one of them (to:), or exclude it (glob:)"
}

func (e Entry) describe() string {
	is := fmt.Sprintf("a directory with mode %04o and owner %d:%d", e.Mode, e.UID, e.GID)
	switch e.Kind {
	case File:
		is = fmt.Sprintf("a file of %d bytes with mode %04o and owner %d:%d (sha256 %.12s)", e.Size, e.Mode, e.UID,
			e.GID, e.SHA256)
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

// conventional lists directories with a special mode or owner. A layer that has to create them,
// because it adds something inside, must not change what the base set.
var conventional = map[string]Entry{
	"/root":         {Mode: 0o700},
	"/tmp":          {Mode: 0o1777},
	"/var/tmp":      {Mode: 0o1777},
	"/home/nonroot": {Mode: 0o700, UID: 65532, GID: 65532},
}

const windows = "windows"

// arrange sorts entries, adds missing parents, and adjusts paths for the operating system.
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
			if err := errors.Join(other.hash(), e.hash()); err != nil {
				return nil, err
			}
			if !other.equal(e) {
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
		// See https://github.com/opencontainers/image-spec/blob/main/layer.md; ko writes the same.
		arranged = append(arranged, Entry{Path: "/Files", Kind: Dir, Mode: 0o555}, Entry{Path: "/Hives", Kind: Dir,
			Mode: 0o555})
	}
	slices.SortFunc(arranged, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return arranged, nil
}

// decide returns the entry that takes precedence. A directory that is only required also gives way
// to a link.
func decide(a, b Entry) (Entry, bool) {
	if a.Rank > b.Rank {
		a, b = b, a
	}
	gives := b.Kind == Dir || b.Kind == Symlink && a.Rank == RankNeeded
	return b, a.Kind == Dir && a.Rank < b.Rank && gives
}
