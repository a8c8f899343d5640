package build

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

const treeKind = "rootfs"

// Tree returns the file system of an image's layers. The layers are only read if the store does not
// have it.
//
// downloaded, if not nil, is called while the layers are read, with the number of bytes of all of
// them.
func Tree(store *cache.Store, layers []image.Layer, downloaded func(done, total int64)) (*rootfs.Tree, error) {
	key := treeKey(layers)
	tree := rootfs.New()
	if store.Get(treeKind, key, tree) {
		return tree, nil
	}
	tree = rootfs.New()
	var done, total int64
	for _, l := range layers {
		total += l.Size
	}
	for _, l := range layers {
		read := func(n int64) {
			if downloaded != nil {
				downloaded(done+n, total)
			}
		}
		if err := apply(tree, l, read); err != nil {
			return nil, err
		}
		done += l.Size
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

// apply reads a layer and calls read with the number of bytes read so far. If a layer is read again, the number
// restarts at 0.
func apply(tree *rootfs.Tree, l image.Layer, read func(n int64)) error {
	if l.Stream != nil {
		// Errors of Stream name the base.
		return l.Stream(func(r io.Reader) error { return tree.Apply(&countingReader{r: r, read: read}) })
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

// countingReader reports the number of bytes read.
type countingReader struct {
	r    io.Reader
	n    int64
	read func(n int64)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.read(c.n)
	return n, err
}

// treeOf returns the file system of a child's base. It is nil if it is unknown, as for Windows
// images, whose layers have a different structure.
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
		running := l.start(Step{Download, c.Platform, []string{c.Base.Name}})
		defer running.Done()
		return Tree(l.store, under.Layers, running.Bytes)
	})
}
