package layer

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// Place returns entries adjusted for writing on top of a base, as COPY in a Dockerfile does.
// Symbolic links in paths are followed. Directories of the base keep their modification time and
// extended attributes, and their owner and mode unless the entry sets others. All parents are
// added, since some runtimes create missing ones unreadable or hide the base's. If base is nil, the
// base is unknown, and the entries are returned unchanged.
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
		e, err := e.resolve(base)
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

// resolve returns the entry with its path resolved in the base.
func (e Entry) resolve(base *rootfs.Tree) (Entry, error) {
	if e.Kind == Dir {
		resolved, node, err := base.Resolve(e.Path, true)
		if err != nil {
			return e, e.withSource(err)
		}
		e.Path = resolved
		return inherited(e, node), nil
	}
	at, err := base.Parent(e.Path)
	if err != nil {
		return e, e.withSource(err)
	}
	there := base.Lstat(at)
	hidden, node, err := base.Resolve(at, false)
	switch {
	case err != nil || node == nil || node.Kind != rootfs.Dir: // files and dangling links are replaced
	case e.Kind == Symlink && there.Kind == rootfs.Symlink && (e.Link == there.Link || e.Rank == RankExplicit):
	default:
		return e, e.withSource(&HidesError{Path: e.Path, Dir: hidden, Kind: e.Kind})
	}
	e.Path = at
	return e, nil
}

// inherited returns the entry of a directory with the attributes that it keeps from the base, if
// the base has it.
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

// withSource adds the source file to an error.
func (e Entry) withSource(err error) error {
	if e.From == "" {
		return err
	}
	return fmt.Errorf("%s: %w", e.From, err)
}

// HidesError is returned for a file or link that would replace a directory of the base.
type HidesError struct {
	Path string
	Dir  string // the directory, if a link leads to it
	Kind Kind   // of the replacement
}

func (e *HidesError) Error() string {
	if e.Dir != e.Path {
		return fmt.Sprintf("%s would replace a link to the directory %s of the base", e.Path, e.Dir)
	}
	return fmt.Sprintf("%s would replace a directory of the base", e.Path)
}

// Hint returns how to copy the file into the directory.
func (e *HidesError) Hint() string {
	if e.Kind == File {
		return fmt.Sprintf("to copy the file into the directory, write to: %s/", e.Path)
	}
	return "choose another path, or exclude the link (glob:)"
}

// WhiteoutError is returned for a file name that container runtimes interpret as a deletion.
type WhiteoutError struct{ Path, From string }

func (e *WhiteoutError) Error() string {
	return fmt.Sprintf("%s: container runtimes interpret names with the prefix .wh. as deletions", cmp.Or(e.From,
		e.Path))
}

// Hint returns how to avoid the file name.
func (e *WhiteoutError) Hint() string { return "rename the file, or exclude it (glob:)" }

// whiteout reports whether a path contains a name of the image specification's "Whiteouts".
func whiteout(p string) bool {
	return strings.HasPrefix(p, ".wh.") || strings.Contains(p, "/.wh.")
}

// check rejects paths that a layer cannot contain.
func (e Entry) check() error {
	switch {
	case !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || e.Path == "/":
		return fmt.Errorf("%q is not a clean absolute path of a layer", e.Path)
	case whiteout(e.Path):
		return &WhiteoutError{Path: e.Path, From: e.From}
	}
	return nil
}
