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

// Source selects files for an image: From, in a source tree, is copied to To in the image.
type Source struct {
	From string   // relative to the tree, slash-separated
	To   string   // absolute; a directory if it ends in a slash or if From is a directory
	Glob []string // patterns for paths relative to From; a leading ! excludes; empty means all files
	Mode uint32   // of files, and of directories with search permission added; 0 keeps the executable bit of files
	UID  int
	GID  int
	// Capabilities is the value of security.capability for each file; nil for none.
	Capabilities []byte
	// Refuse, if not nil, is called for every selected file in the directory From. Its error ends
	// Collect and Check.
	Refuse func(tree *os.Root, file string) error
}

// MissingError is returned for a source that does not exist, or whose patterns match nothing.
type MissingError struct {
	From string
	Glob []string
	// Folder is the closest existing directory above From, and Has some of its entries.
	Folder string
	Has    []string
}

func (e *MissingError) Error() string {
	if e.Glob != nil {
		return fmt.Sprintf("no file in %s matches %s", e.From, strings.Join(e.Glob, ", "))
	}
	return e.From + " does not exist"
}

// Hint lists existing files and explains what from is relative to.
func (e *MissingError) Hint() string {
	if slices.ContainsFunc(e.Glob, func(g string) bool { return slices.Contains(strings.Split(g, "/"), gitDir) }) {
		return gitDir + " directories are left out, unless from: is inside one"
	}
	has := ""
	if len(e.Has) > 0 {
		has = e.Folder + " has " + strings.Join(e.Has, ", ") + "; "
	}
	return has + "from: is relative to the source tree; to see it, run: multiarch plan"
}

// gitDir is the git metadata of a checkout: a directory, or a file that points to it. It
// changes with every git command and may contain passwords.
const gitDir = ".git"

// below returns the path of p relative to dir.
func below(dir, p string) string {
	if dir == "." {
		return p
	}
	return strings.TrimPrefix(strings.TrimPrefix(p, dir), "/")
}

// EmptyError is returned for a directory that adds nothing to an image.
type EmptyError struct{ From, To string }

func (e *EmptyError) Error() string { return e.From + " is an empty directory" }

// Hint returns how to create an empty directory.
func (e *EmptyError) Hint() string {
	return fmt.Sprintf("add a file, or create the directory with directories: [{path: %s}]", path.Clean(e.To))
}

// noFilesError returns the error for a directory from which no file is selected.
func (s Source) noFilesError() error {
	if len(s.Glob) > 0 {
		return &MissingError{From: s.From, Glob: s.Glob}
	}
	return &EmptyError{s.From, s.To}
}

// missingError returns the error for a path that does not exist.
func missingError(tree *os.Root, from string) error {
	const most = 8 // enough to show what the names look like
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

// Collect returns the entries that s adds to an image, each file with the digest of its content. It
// never reads outside the tree, and keeps symbolic links as links. Devices, sockets and pipes are
// errors. In a directory, every .git is left out.
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
	led := map[string]bool{} // parents of selected files, if only some files are selected
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
			entries = append(entries, Entry{Path: to, Kind: Symlink, Mode: 0o777, UID: s.UID, GID: s.GID,
				Link: target, From: p})
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
		return nil, s.noFilesError()
	}
	return entries, nil
}

// Check reports the errors that Collect would return without reading any file.
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
		err = s.noFilesError()
	}
	return err
}

// Matches reports whether Collect would select a file, a path in the tree, if it existed.
func (s Source) Matches(file string) bool {
	from := path.Clean(s.From)
	if from != "." && !strings.HasPrefix(file, from+"/") {
		return false
	}
	return s.selects(below(from, file))
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
		return nil, missingError(tree, s.From)
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", s.From, err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a directory", s.From)
	}
	return info, nil
}

// walk visits a directory: every directory in it, and the selected files and links. below is the
// path relative to From.
func (s Source) walk(tree *os.Root, visit func(p, below string, d fs.DirEntry) error) error {
	from := path.Clean(s.From)
	var refused error
	err := fs.WalkDir(tree.FS(), from, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == from:
			return nil
		case d.Name() == gitDir && d.IsDir():
			return fs.SkipDir
		case d.Name() == gitDir:
			return nil
		}
		inside := below(from, p)
		switch {
		case d.IsDir():
			if len(s.Glob) == 0 && whiteout(d.Name()) {
				return &WhiteoutError{Path: inside, From: p}
			}
		case !s.selects(inside):
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

// selects applies the patterns in order: the last match decides. A list that only excludes starts
// with all files.
func (s Source) selects(below string) bool {
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

// explicit reports whether directories have their own owner or mode.
func (s Source) explicit() bool { return s.UID != 0 || s.GID != 0 || s.Mode != 0 }

// destination returns the entry of the directory that the content of a directory is copied to, if
// it has its own owner or mode.
func (s Source) destination() []Entry {
	if to := path.Clean(s.To); s.explicit() && to != "/" {
		return []Entry{s.directory(s.From, to)}
	}
	return nil
}

// directory returns the entry of a directory of the tree. Without an owner and a mode, the layer is
// the same as if the files were given one by one.
func (s Source) directory(from, to string) Entry {
	e := ImplicitDir(to, s.Mode, s.UID, s.GID)
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
	if e.Xattrs, err = CapabilityXattrs(f, from, s.Capabilities); err != nil {
		return e, err
	}
	h := sha256.New()
	e.Size, err = io.Copy(h, f)
	e.SHA256 = hex.EncodeToString(h.Sum(nil))
	return e, err
}
