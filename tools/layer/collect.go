package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Source is what Collect takes: From, in a tree, goes to To in the image.
type Source struct {
	From string   // below the top of the tree, with slashes
	To   string   // absolute; a file goes into it where it ends in a slash, a directory's content always does
	Glob []string // only files whose path below From matches one; a leading ! excludes; none means all
	Mode uint32   // of files; 0 keeps whether they are executable: 0755 or 0644
	UID  int
	GID  int
}

// MissingError is returned for a source that is not there, or that its patterns leave empty.
type MissingError struct {
	From string
	Glob []string
	// Folder is the nearest directory above From that is there, and Has some of what it holds.
	Folder string
	Has    []string
}

func (e *MissingError) Error() string {
	if e.Glob != nil {
		return fmt.Sprintf("no file below %s matches %s", e.From, strings.Join(e.Glob, ", "))
	}
	return e.From + " does not exist"
}

// Hint says what there is instead, and what from is relative to.
func (e *MissingError) Hint() string {
	has := ""
	if len(e.Has) > 0 {
		has = e.Folder + " has " + strings.Join(e.Has, ", ") + "; "
	}
	return has + "from: is a path below the directory that images are built from, see: multiarch plan"
}

// missing is the error for a path that is not there.
func missing(tree *os.Root, from string) error {
	const most = 8 // of a long list, the first few show what names look like
	e := &MissingError{From: from}
	for e.Folder = path.Dir(path.Clean(from)); ; e.Folder = path.Dir(e.Folder) {
		entries, err := fs.ReadDir(tree.FS(), e.Folder)
		if err != nil && e.Folder != "." && e.Folder != "/" {
			continue
		}
		for _, entry := range entries[:min(len(entries), most)] {
			e.Has = append(e.Has, entry.Name())
		}
		if len(entries) > most {
			e.Has = append(e.Has, "...")
		}
		return e
	}
}

// Collect lists what s puts into an image, each file with the digest of its content. Nothing outside the tree is read,
// whatever symbolic links say; links themselves are kept as links. Devices, sockets and pipes are refused.
func Collect(tree *os.Root, s Source) ([]Entry, error) {
	from := path.Clean(s.From)
	info, err := tree.Stat(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing(tree, s.From)
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", s.From, err)
	case !info.IsDir():
		to := s.To
		if strings.HasSuffix(to, "/") {
			to += path.Base(from)
		}
		e, err := s.file(tree, from, path.Clean(to), info)
		return []Entry{e}, err
	}
	var entries []Entry
	err = fs.WalkDir(tree.FS(), from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below := strings.TrimPrefix(strings.TrimPrefix(p, from), "/")
		if from == "." {
			below = p
		}
		to := path.Join(s.To, below)
		switch {
		case to == "/" || p == from:
			return nil
		case d.IsDir():
			if e, ok := s.directory(p, to); ok {
				entries = append(entries, e)
			}
			return nil
		case !s.wants(below):
			return nil
		case d.Type() == fs.ModeSymlink:
			target, err := tree.Readlink(p)
			entries = append(entries, Entry{Path: to, Kind: Symlink, Mode: 0o777, UID: s.UID, GID: s.GID, Link: target, From: p})
			return err
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is neither a file, a directory nor a link", p)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e, err := s.file(tree, p, to, info)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.From, err)
	}
	if len(entries) == 0 && len(s.Glob) > 0 {
		return nil, &MissingError{From: s.From, Glob: s.Glob}
	}
	return entries, nil
}

// wants applies the patterns in order: the last that matches decides, and a list that only excludes starts from all.
func (s Source) wants(below string) bool {
	if len(s.Glob) == 0 {
		return true
	}
	wanted := strings.HasPrefix(s.Glob[0], "!")
	for _, g := range s.Glob {
		pattern, exclude := strings.CutPrefix(g, "!")
		if doublestar.MatchUnvalidated(pattern, below) {
			wanted = !exclude
		}
	}
	return wanted
}

// directory is the entry of a directory of the tree; ok is false where it needs none. Without an owner, the directories
// that every system has are what Write makes of missing parents: a tree with a file in tmp does not take from /tmp what
// the base gave it, and the bytes are those of the same files given one by one.
func (s Source) directory(from, to string) (e Entry, ok bool) {
	if len(s.Glob) > 0 {
		return e, false
	}
	e = Entry{Path: to, Kind: Dir, Mode: 0o755, UID: s.UID, GID: s.GID, From: from}
	if s.UID != 0 || s.GID != 0 {
		return e, true
	}
	if usual, known := conventional[to]; known {
		e.Mode, e.UID, e.GID = usual.Mode, usual.UID, usual.GID
	}
	return e, !linked[to]
}

func (s Source) file(tree *os.Root, from, to string, info fs.FileInfo) (Entry, error) {
	e := Entry{Path: to, Kind: File, Mode: s.Mode, UID: s.UID, GID: s.GID, From: from}
	if e.Mode == 0 {
		e.Mode = 0o644
		if info.Mode()&0o111 != 0 {
			e.Mode = 0o755
		}
	}
	e.Contents = func() (io.ReadCloser, error) { return tree.Open(from) }
	f, err := tree.Open(from)
	if err != nil {
		return e, err
	}
	defer f.Close()
	h := sha256.New()
	e.Size, err = io.Copy(h, f)
	e.SHA256 = hex.EncodeToString(h.Sum(nil))
	return e, err
}
