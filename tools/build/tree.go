package build

import (
	"errors"
	"fmt"
	"strings"

	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

const treeKind = "rootfs"

// Tree returns the file system of an image's layers. It reads the layers only if the store does not know it yet.
func Tree(store *cache.Store, layers []image.Layer) (*rootfs.Tree, error) {
	key := treeKey(layers)
	tree := rootfs.New()
	if store.Get(treeKind, key, tree) {
		return tree, nil
	}
	tree = rootfs.New()
	for _, l := range layers {
		if err := apply(tree, l); err != nil {
			return nil, err
		}
	}
	return tree, store.Put(treeKind, key, tree)
}

func treeKey(layers []image.Layer) string {
	key := []string{rootfs.Format}
	for _, l := range layers {
		key = append(key, l.Digest.String())
	}
	return strings.Join(key, " ")
}

func apply(tree *rootfs.Tree, l image.Layer) error {
	if l.Stream != nil {
		return l.Stream(tree.Apply) // its errors name the base
	}
	r, err := l.Blob()
	if err != nil {
		return err
	}
	if err := errors.Join(tree.Apply(r), r.Close()); err != nil {
		return fmt.Errorf("listing the directories of %s: %w", l.Digest, err)
	}
	return nil
}

// treeOf returns the file system of a child's base: nil if it is not known, as for images of Windows, whose layers have
// a form of their own.
func (l *layers) treeOf(c plan.Child, under Base) (*rootfs.Tree, error) {
	if len(under.Layers) == 0 {
		return rootfs.New(), nil
	}
	if c.Platform.OS == "windows" {
		return nil, nil
	}
	return l.trees.Get(treeKey(under.Layers), func() (*rootfs.Tree, error) {
		if c.Base.Builtin == plan.Static {
			entries, err := l.entries.Get(static.Entries)
			if err != nil {
				return nil, err
			}
			return layer.Tree(entries)
		}
		return Tree(l.store, under.Layers)
	})
}
