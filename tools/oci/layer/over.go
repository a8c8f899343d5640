package layer

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// Needs are directories that have to exist, such as the working directory.
type Needs struct {
	Paths []string
	// User owns those that are created, as an image config names it. If nobody knows the user, root does.
	User string
}

// Stack lays entries over a base: it returns them as Place does, with the directories that are needed, and the file system
// that results. If nothing is known of the base (nil), needed directories are not created: they may be there already.
func Stack(entries []Entry, needs Needs, base *rootfs.Tree) (placed []Entry, over *rootfs.Tree, err error) {
	if placed, err = Place(entries, base); err != nil || base == nil {
		return placed, nil, err
	}
	if over, err = lay(base, placed); err != nil || len(needs.Paths) == 0 {
		return placed, over, err
	}
	uid, gid, ok := over.Owner(needs.User)
	if !ok {
		uid, gid = 0, 0
	}
	all := slices.Clone(entries)
	for _, p := range needs.Paths {
		all = append(all, needed(p, uid, gid))
	}
	if placed, err = Place(all, base); err != nil {
		return nil, nil, err
	}
	over, err = lay(base, placed)
	return placed, over, err
}

// Tree returns the file system of a single layer.
func Tree(entries []Entry) (*rootfs.Tree, error) {
	_, tree, err := Stack(entries, Needs{}, rootfs.New())
	return tree, err
}

// lay returns the file system of a base with placed entries over it.
func lay(base *rootfs.Tree, placed []Entry) (*rootfs.Tree, error) {
	t := base.Clone()
	sorted := slices.Clone(placed)
	// Of two entries of a directory, the one that counts comes last.
	slices.SortStableFunc(sorted, func(a, b Entry) int { return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Rank, b.Rank)) })
	for _, e := range sorted {
		n := rootfs.Node{Mode: e.Mode, UID: e.UID, GID: e.GID, ModTime: e.ModTime}
		switch e.Kind {
		case Dir:
			n.Kind = rootfs.Dir
			for name, value := range e.Xattrs {
				if n.Xattrs == nil {
					n.Xattrs = map[string]string{}
				}
				n.Xattrs[name] = string(value)
			}
		case Symlink:
			n = rootfs.Node{Kind: rootfs.Symlink, Link: e.Link}
		case File:
			n = rootfs.Node{}
			if rootfs.IsUserList(e.Path) {
				content, err := e.content()
				if err != nil {
					return nil, err
				}
				n.Content = content
			}
		}
		t.Put(e.Path, n)
	}
	return t, nil
}

// content reads a small file.
func (e Entry) content() (string, error) {
	r, err := e.Open()
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.LimitReader(r, rootfs.MaxUserList))
	return string(content), errors.Join(err, r.Close())
}
