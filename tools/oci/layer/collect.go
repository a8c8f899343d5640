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
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Source is what Collect takes: From, in a tree, goes to To in the image.
type Source struct {
	From string   // below the top of the tree, with slashes
	To   string   // absolute; a file goes into it where it ends in a slash, a directory's content always does
	Glob []string // only files whose path below From matches one; a leading ! excludes; none means all
	Mode uint32   // of files, and of directories with search permission added; 0 keeps whether a file is executable
	UID  int
	GID  int
	// Capabilities is the attribute security.capability of each file; nil for none.
	Capabilities []byte
	// Refuse, if not nil, is called with every file below the directory From that is wanted. An error ends Collect and
	// Check, which return it.
	Refuse func(tree *os.Root, file string) error
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
	if slices.ContainsFunc(e.Glob, func(g string) bool { return slices.Contains(strings.Split(g, "/"), repository) }) {
		return "what is in " + repository + " is left out, unless from: leads there"
	}
	has := ""
	if len(e.Has) > 0 {
		has = e.Folder + " has " + strings.Join(e.Has, ", ") + "; "
	}
	return has + "from: is a path below the directory that images are built from, see: multiarch plan"
}

// repository is what git keeps in a checkout: a folder at its top, or a file that says where the folder is. It changes
// with every command of git, and may hold passwords.
const repository = ".git"

// below returns a path in dir as it is seen from there.
func below(dir, p string) string {
	if dir == "." {
		return p
	}
	return strings.TrimPrefix(strings.TrimPrefix(p, dir), "/")
}

// EmptyError is returned for a directory that puts nothing into an image.
type EmptyError struct{ From, To string }

func (e *EmptyError) Error() string { return e.From + " is an empty directory" }

// Hint says how to create an empty directory.
func (e *EmptyError) Hint() string {
	return fmt.Sprintf("put something into it, or create a directory in the image: directories: [{path: %s}]", path.Clean(e.To))
}

// nothing is the error for a directory of which nothing is taken.
func (s Source) nothing() error {
	if len(s.Glob) > 0 {
		return &MissingError{From: s.From, Glob: s.Glob}
	}
	return &EmptyError{s.From, s.To}
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
// whatever symbolic links say; links themselves are kept as links. Devices, sockets and pipes are refused. Of a directory
// every .git below is left out, as if it were not there.
func Collect(tree *os.Root, s Source) ([]Entry, error) {
	from := path.Clean(s.From)
	info, err := s.stat(tree)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		to := s.To
		if strings.HasSuffix(to, "/") {
			to += path.Base(from)
		}
		e, err := s.file(tree, from, path.Clean(to), info)
		return []Entry{e}, err
	}
	found, entries := false, s.destination()
	led := map[string]bool{} // directories that lead to a file, if only some files are wanted
	err = s.walk(tree, func(p, below string, d fs.DirEntry) error {
		to := path.Join(s.To, below)
		if d.IsDir() {
			if len(s.Glob) == 0 {
				found = true
				entries = append(entries, s.directory(p, to))
			}
			return nil
		}
		found = true
		for dir := path.Dir(below); s.explicit() && len(s.Glob) > 0 && dir != "." && !led[dir]; dir = path.Dir(dir) {
			led[dir] = true
			entries = append(entries, s.directory(path.Join(from, dir), path.Join(s.To, dir)))
		}
		switch {
		case d.Type() == fs.ModeSymlink:
			target, err := tree.Readlink(p)
			entries = append(entries, Entry{Path: to, Kind: Symlink, Mode: 0o777, UID: s.UID, GID: s.GID, Link: target, From: p})
			return err
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
		return nil, err
	}
	if !found {
		return nil, s.nothing()
	}
	return entries, nil
}

// Check tells whether there is what Collect would list, without reading any file.
func Check(tree *os.Root, s Source) error {
	info, err := s.stat(tree)
	if err != nil || !info.IsDir() {
		return err
	}
	found := false
	err = s.walk(tree, func(_, _ string, d fs.DirEntry) error {
		found = found || !d.IsDir() || len(s.Glob) == 0
		return nil
	})
	if err == nil && !found {
		err = s.nothing()
	}
	return err
}

// Takes reports whether Collect would take a file, a path in the tree, if it existed.
func (s Source) Takes(file string) bool {
	from := path.Clean(s.From)
	if from != "." && !strings.HasPrefix(file, from+"/") {
		return false
	}
	return s.wants(below(from, file))
}

func (s Source) stat(tree *os.Root) (fs.FileInfo, error) {
	from := path.Clean(s.From)
	info, err := tree.Stat(from)
	if err != nil {
		if link := broken(tree, from); link != nil {
			return nil, link
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing(tree, s.From)
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", s.From, err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a directory", s.From)
	}
	return info, nil
}

// walk visits what is in a directory: every directory, and the files and links that are wanted. below is a path as it is
// seen from there.
func (s Source) walk(tree *os.Root, visit func(p, below string, d fs.DirEntry) error) error {
	from := path.Clean(s.From)
	var refused error
	err := fs.WalkDir(tree.FS(), from, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == from:
			return nil
		case d.Name() == repository && d.IsDir():
			return fs.SkipDir
		case d.Name() == repository:
			return nil
		}
		inside := below(from, p)
		switch {
		case d.IsDir():
			if len(s.Glob) == 0 && whiteout(d.Name()) {
				return &WhiteoutError{Path: inside, From: p}
			}
		case !s.wants(inside):
			return nil
		case whiteout(inside):
			return &WhiteoutError{Path: inside, From: p}
		default:
			if s.Refuse != nil {
				if refused = s.Refuse(tree, p); refused != nil {
					return refused
				}
			}
			if !d.Type().IsRegular() && d.Type() != fs.ModeSymlink {
				return fmt.Errorf("%s is neither a file, a directory nor a link", p)
			}
		}
		return visit(p, inside, d)
	})
	var named *WhiteoutError
	if err != nil && refused == nil && !errors.As(err, &named) {
		err = fmt.Errorf("reading %s: %w", s.From, err)
	}
	return err
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

// explicit tells whether directories have an owner or a mode of their own.
func (s Source) explicit() bool { return s.UID != 0 || s.GID != 0 || s.Mode != 0 }

// destination is the entry of the directory that a directory's content goes to, if it has an owner or a mode of its own.
func (s Source) destination() []Entry {
	if to := path.Clean(s.To); s.explicit() && to != "/" {
		return []Entry{s.directory(s.From, to)}
	}
	return nil
}

// directory is the entry of a directory of the tree. Without an owner and a mode, the bytes are those of the same files
// given one by one.
func (s Source) directory(from, to string) Entry {
	e := TreeDir(to, s.Mode, s.UID, s.GID)
	e.From = from
	return e
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
	if e.Xattrs, err = Capable(f, from, s.Capabilities); err != nil {
		return e, err
	}
	h := sha256.New()
	e.Size, err = io.Copy(h, f)
	e.SHA256 = hex.EncodeToString(h.Sum(nil))
	return e, err
}
