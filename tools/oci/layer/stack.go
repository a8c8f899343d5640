package layer

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// RequiredDirs are directories that must exist, such as the working directory.
type RequiredDirs struct {
	Paths []string
	// User is the owner of directories that are created, in the notation of an image config. If the
	// user is unknown, root owns them.
	User string
}

// Stack merges entries with a base. It returns the entries as Place does, including the required
// directories, and the resulting file system. If base is nil, the base is unknown, and required
// directories are not created since they may exist.
func Stack(entries []Entry, needs RequiredDirs, base *rootfs.Tree) (placed []Entry, over *rootfs.Tree, err error) {
	if placed, err = Place(entries, base); err != nil || base == nil {
		return placed, nil, err
	}
	if over, err = apply(base, placed); err != nil || len(needs.Paths) == 0 {
		return placed, over, err
	}
	uid, gid, ok := over.Owner(needs.User)
	if !ok {
		uid, gid = 0, 0
	}
	all := slices.Clone(entries)
	for _, p := range needs.Paths {
		all = append(all, requiredDir(p, uid, gid))
	}
	if placed, err = Place(all, base); err != nil {
		return nil, nil, err
	}
	over, err = apply(base, placed)
	return placed, over, err
}

// Tree returns the file system of a single layer.
func Tree(entries []Entry) (*rootfs.Tree, error) {
	_, tree, err := Stack(entries, RequiredDirs{}, rootfs.New())
	return tree, err
}

// apply returns the file system of a base with placed entries on top.
func apply(base *rootfs.Tree, placed []Entry) (*rootfs.Tree, error) {
	t := base.Clone()
	sorted := slices.Clone(placed)
	// Of several entries for a directory, the one that applies comes last.
	slices.SortStableFunc(sorted, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Path, b.Path),
			cmp.Compare(a.Rank, b.Rank))
	})
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
