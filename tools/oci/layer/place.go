package layer

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// Place returns entries as they have to be written to be laid over a base, as COPY does it: symbolic links on the way to
// a path are followed, and directories that the base has keep modification time and extended attributes, and owner and
// mode as well unless the entry gives others. All parents are added, since some runtimes create missing ones unreadable,
// or hide the base's own with them. If nothing is known of the base (nil), the entries are returned as they are.
func Place(entries []Entry, base *rootfs.Tree) ([]Entry, error) {
	if base == nil {
		return entries, nil
	}
	taken := make(map[string]bool, len(entries))
	var placed []Entry
	for _, e := range entries {
		if err := e.check(); err != nil {
			return nil, err
		}
		e, err := e.over(base)
		if err != nil {
			return nil, err
		}
		if e.Path != "/" {
			placed = append(placed, e)
			taken[e.Path] = true
		}
	}
	for _, e := range placed {
		for dir := path.Dir(e.Path); dir != "/" && !taken[dir]; dir = path.Dir(dir) {
			taken[dir] = true
			placed = append(placed, inherited(newDirectory(dir), base.Lstat(dir)))
		}
	}
	return placed, nil
}

// over returns an entry at the path where it really goes.
func (e Entry) over(base *rootfs.Tree) (Entry, error) {
	if e.Kind == Dir {
		resolved, node, err := base.Resolve(e.Path, true)
		if err != nil {
			return e, e.from(err)
		}
		e.Path = resolved
		return inherited(e, node), nil
	}
	at, err := base.Parent(e.Path)
	if err != nil {
		return e, e.from(err)
	}
	there := base.Lstat(at)
	hidden, node, err := base.Resolve(at, false)
	switch {
	case err != nil || node == nil || node.Kind != rootfs.Dir: // a file, or a link that leads to none, is replaced
	case e.Kind == Symlink && there.Kind == rootfs.Symlink && (e.Link == there.Link || e.Rank == RankExplicit):
	default:
		return e, e.from(&HidesError{Path: e.Path, Dir: hidden, Kind: e.Kind})
	}
	e.Path = at
	return e, nil
}

// inherited returns the entry of a directory with what it keeps of the one in the base, if there is one.
func inherited(e Entry, base *rootfs.Node) Entry {
	if base == nil {
		return e
	}
	if e.KeepMode {
		e.Mode = base.Mode
	}
	if e.KeepOwner {
		e.UID, e.GID = base.UID, base.GID
	}
	e.ModTime = base.ModTime
	if len(base.Xattrs) > 0 {
		e.Xattrs = make(map[string][]byte, len(base.Xattrs))
		for name, value := range base.Xattrs {
			e.Xattrs[name] = []byte(value)
		}
	}
	return e
}

// from says which source an error is about.
func (e Entry) from(err error) error {
	if e.From == "" {
		return err
	}
	return fmt.Errorf("%s: %w", e.From, err)
}

// HidesError is returned for a file or link that would take the place of a directory of the base.
type HidesError struct {
	Path string
	Dir  string // the directory, where links lead to it
	Kind Kind   // of what takes its place
}

func (e *HidesError) Error() string {
	if e.Dir != e.Path {
		return fmt.Sprintf("%s would hide %s, which it leads to in the base", e.Path, e.Dir)
	}
	return fmt.Sprintf("%s would hide a directory of the base", e.Path)
}

// Hint says how to put the file into the directory.
func (e *HidesError) Hint() string {
	if e.Kind == File {
		return fmt.Sprintf("to put the file into the directory, write to: %s/", e.Path)
	}
	return "choose another path, or leave the link out (glob:)"
}

// WhiteoutError is returned for a file name that container runtimes take for the removal of a file.
type WhiteoutError struct{ Path, From string }

func (e *WhiteoutError) Error() string {
	return fmt.Sprintf("%s: names that begin with .wh. would remove files of the image", cmp.Or(e.From, e.Path))
}

// Hint says what to do with the file.
func (e *WhiteoutError) Hint() string { return "rename the file, or leave it out (glob:)" }

// whiteout tells whether a name on a path is one of the image spec's "Whiteouts".
func whiteout(p string) bool {
	return strings.HasPrefix(p, ".wh.") || strings.Contains(p, "/.wh.")
}

// check refuses paths that no layer can hold.
func (e Entry) check() error {
	switch {
	case !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || e.Path == "/":
		return fmt.Errorf("%q is not a clean absolute path of a layer", e.Path)
	case whiteout(e.Path):
		return &WhiteoutError{Path: e.Path, From: e.From}
	}
	return nil
}
