// Package rootfs models the root file system of an image: the directories and symbolic links that remain after its
// layers are applied, with owner, mode, modification time and extended attributes. Code that adds files to an image
// calls Resolve to find their paths behind symbolic links. The content of files is not kept, except for /etc/passwd and
// /etc/group.
package rootfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Kind is the type of a node.
type Kind byte

// The kinds of nodes. Other is used for files, devices and anything else.
const (
	Other Kind = iota
	Dir
	Symlink
)

// Node is a directory, a symbolic link, or the name of something else.
type Node struct {
	Kind Kind
	// Mode, UID, GID, ModTime and Xattrs are set for directories.
	Mode     uint32 // permission bits with setuid, setgid and sticky, as in chmod
	UID, GID int
	ModTime  time.Time // zero for the epoch that the layer is written with
	Xattrs   map[string]string
	// Link is the target of a symbolic link.
	Link string
	// Content is set for /etc/passwd and /etc/group.
	Content string

	children map[string]*Node
}

// Tree is the file system of an image. A nil Tree is empty.
type Tree struct{ root *Node }

// New returns an empty file system.
func New() *Tree { return &Tree{root: newDir()} }

// Clone returns a copy, which can be changed independently.
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

// maxLinks is the number of symbolic links that Linux follows in a path.
const maxLinks = 40

// LoopError is returned for a path with too many symbolic links.
type LoopError struct{ Path string }

func (e *LoopError) Error() string {
	return fmt.Sprintf("%s: too many levels of symbolic links in the base", e.Path)
}

// Hint returns how to avoid the loop.
func (e *LoopError) Hint() string { return "choose another path, or fix the links of the base" }

// NotDirError is returned for a path with a parent that is neither a directory nor a link to one.
type NotDirError struct{ Path, File string }

func (e *NotDirError) Error() string {
	return fmt.Sprintf("%s: %s is a file in the base, not a directory", e.Path, e.File)
}

// Hint returns the next step.
func (e *NotDirError) Hint() string { return "choose another path" }

// Resolve follows the symbolic links of a path, including the last name, as in a chroot: ".." at the root stays at the
// root. Names that do not exist are kept, so a dangling link resolves to its target; node is nil for them. If directory
// is true, the path must be a directory or must not exist.
func (t *Tree) Resolve(p string, directory bool) (resolved string, node *Node, err error) {
	if t == nil {
		t = New()
	}
	rest := split(p)
	here, nodes := []string{}, []*Node{t.root} // nodes of the root and of each name in here; nil if missing
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

// Parent follows the symbolic links in all names of a path except the last.
func (t *Tree) Parent(p string) (resolved string, err error) {
	dir, _, err := t.Resolve(path.Dir(p), true)
	return path.Join(dir, path.Base(p)), err
}

// Lstat returns the node at a path that Resolve or Parent returned, or nil.
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

// Put puts a node at a path that Resolve or Parent returned. It creates missing directories. An existing directory
// keeps its content.
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

// dir returns the directory with the given path. It creates missing directories.
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

// remove removes a path and everything below it.
func (t *Tree) remove(p string) {
	if parent := t.Lstat(path.Dir(p)); parent != nil {
		delete(parent.children, path.Base(p))
	}
}

// split returns the names in a path, without "." and empty names.
func split(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(name string) bool { return name == "" || name == "." })
}

// names returns the sorted names in a directory.
func (n *Node) names() []string { return slices.Sorted(maps.Keys(n.children)) }
