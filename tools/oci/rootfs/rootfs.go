// Package rootfs knows the directories of an image: what layers, applied one over the other, leave of directories and
// symbolic links, with owner, mode, modification time and extended attributes. Whoever lays files over the image finds
// out with Resolve where they really go. Contents of files are not kept, except for the lists of users and groups.
package rootfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Kind is what a node is.
type Kind byte

// The kinds of nodes. Other is everything that is neither a directory nor a symbolic link: files and devices.
const (
	Other Kind = iota
	Dir
	Symlink
)

// Node is a directory, a symbolic link or a name of something else.
type Node struct {
	Kind Kind
	// Mode, UID, GID, ModTime and Xattrs are those of a directory.
	Mode     uint32 // permission bits with setuid, setgid and sticky, as in chmod
	UID, GID int
	ModTime  time.Time // zero for the epoch that the layer is written with
	Xattrs   map[string]string
	// Link is where a symbolic link points.
	Link string
	// Content is that of the lists of users and groups.
	Content string

	children map[string]*Node
}

// Tree is the file system of an image. A nil Tree is empty.
type Tree struct{ root *Node }

// New returns an empty file system.
func New() *Tree { return &Tree{root: newDir()} }

// Clone returns a copy that can be changed.
func (t *Tree) Clone() *Tree {
	if t == nil {
		return New()
	}
	return &Tree{root: t.root.clone()}
}

func (n *Node) clone() *Node {
	c := *n
	c.children = make(map[string]*Node, len(n.children))
	for name, child := range n.children {
		c.children[name] = child.clone()
	}
	return &c
}

func newDir() *Node { return &Node{Kind: Dir, Mode: 0o755, children: map[string]*Node{}} }

// maxLinks is how many symbolic links Linux follows on the way of a path.
const maxLinks = 40

// LoopError is returned for a path whose symbolic links lead nowhere.
type LoopError struct{ Path string }

func (e *LoopError) Error() string {
	return fmt.Sprintf("%s: too many levels of symbolic links in the base", e.Path)
}

// Hint says how to get around the loop.
func (e *LoopError) Hint() string { return "choose another path, or mend the links of the base" }

// NotDirError is returned for a path that leads through something that is neither a directory nor a link to one.
type NotDirError struct{ Path, File string }

func (e *NotDirError) Error() string {
	return fmt.Sprintf("%s: %s is a file in the base, not a directory", e.Path, e.File)
}

// Hint says what to do instead.
func (e *NotDirError) Hint() string { return "choose another path" }

// Resolve follows the symbolic links of a path, the last name included, as chroot does: a link that leads above the
// root stays there. What does not exist is kept, so that a dangling link leads to what it names. node is nil for a path
// that does not exist. If directory is set, the path has to be a directory, or not to exist.
func (t *Tree) Resolve(p string, directory bool) (resolved string, node *Node, err error) {
	if t == nil {
		t = New()
	}
	rest := split(p)
	here, nodes := []string{}, []*Node{t.root} // nodes are those of the root and of the names in here; nil if missing
	links := 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			if len(here) > 0 {
				here, nodes = here[:len(here)-1], nodes[:len(nodes)-1]
			}
			continue
		}
		last := nodes[len(nodes)-1]
		if last != nil && last.Kind != Dir {
			return "", nil, &NotDirError{p, "/" + strings.Join(here, "/")}
		}
		var next *Node
		if last != nil {
			next = last.children[name]
		}
		if next != nil && next.Kind == Symlink {
			if links++; links > maxLinks {
				return "", nil, &LoopError{p}
			}
			if path.IsAbs(next.Link) {
				here, nodes = here[:0], nodes[:1]
			}
			rest = append(split(next.Link), rest...)
			continue
		}
		here, nodes = append(here, name), append(nodes, next)
	}
	node = nodes[len(nodes)-1]
	resolved = "/" + strings.Join(here, "/")
	if directory && node != nil && node.Kind != Dir {
		return "", nil, &NotDirError{p, resolved}
	}
	return resolved, node, nil
}

// Parent follows the symbolic links of all names of a path but the last.
func (t *Tree) Parent(p string) (resolved string, err error) {
	dir, _, err := t.Resolve(path.Dir(p), true)
	return path.Join(dir, path.Base(p)), err
}

// Lstat returns what is at a path that Resolve or Parent has returned, nil if there is nothing.
func (t *Tree) Lstat(p string) *Node {
	if t == nil {
		return nil
	}
	n := t.root
	for _, name := range split(p) {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

// Put places a node at a path that Resolve or Parent has returned. Missing directories are created. A directory keeps
// what is in it.
func (t *Tree) Put(p string, n Node) {
	names := split(p)
	if len(names) == 0 {
		n.children = t.root.children
		t.root = &n
		return
	}
	dir := t.dir(names[:len(names)-1])
	name := names[len(names)-1]
	n.children = nil
	if n.Kind == Dir {
		n.children = map[string]*Node{}
		if old := dir.children[name]; old != nil && old.Kind == Dir {
			n.children = old.children
		}
	}
	dir.children[name] = &n
}

// dir returns a directory by the names that lead to it, and makes it if need be.
func (t *Tree) dir(names []string) *Node {
	n := t.root
	for _, name := range names {
		child := n.children[name]
		if child == nil || child.Kind != Dir {
			child = newDir()
			n.children[name] = child
		}
		n = child
	}
	return n
}

// remove removes what is at a path, with all that is below.
func (t *Tree) remove(p string) {
	if parent := t.Lstat(path.Dir(p)); parent != nil {
		delete(parent.children, path.Base(p))
	}
}

// split returns the names of a path, without "." and empty ones.
func split(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(name string) bool { return name == "" || name == "." })
}

// names are the names in a directory, sorted.
func (n *Node) names() []string { return slices.Sorted(maps.Keys(n.children)) }
