package rootfs

import (
	"fmt"
	"path"
)

// ConflictError is returned for a layer that changes directories or links of the layers below it.
type ConflictError struct {
	Path string
	// Below and Over describe what the layers have at the path.
	Below, Over string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s is %s, which would replace %s of the layers below", e.Path, e.Over, e.Below)
}

// Stack adds the file system of a layer that was written without knowledge of the layers below it. Such a layer must
// not replace directories and links, or change the owner or mode of directories. If it does, the tree stays as it was.
func (t *Tree) Stack(layer *Tree) error {
	stacked := t.Clone()
	if err := stacked.root.stack("/", layer.root); err != nil {
		return err
	}
	t.root = stacked.root
	return nil
}

func (n *Node) stack(dir string, layer *Node) error {
	for _, name := range layer.names() {
		p, over, below := path.Join(dir, name), layer.children[name], n.children[name]
		switch {
		case below == nil || below.Kind == Other && over.Kind != Dir:
			n.children[name] = over.clone()
		case below.Kind == Dir && over.Kind == Dir:
			if below.describe() != over.describe() {
				return &ConflictError{p, below.describe(), over.describe()}
			}
			if err := below.stack(p, over); err != nil {
				return err
			}
		case below.Kind == Symlink && over.Kind == Symlink && below.Link == over.Link:
		default:
			return &ConflictError{p, below.describe(), over.describe()}
		}
	}
	return nil
}

func (n *Node) describe() string {
	switch n.Kind {
	case Dir:
		return fmt.Sprintf("a directory with mode %04o and owner %d:%d", n.Mode, n.UID, n.GID)
	case Symlink:
		return "a link to " + n.Link
	}
	return "a file"
}
