package build

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/multiarch-build/multiarch/tools/filecap"
	"github.com/multiarch-build/multiarch/tools/gobuild"
	"github.com/multiarch-build/multiarch/tools/image"
	"github.com/multiarch-build/multiarch/tools/layer"
	"github.com/multiarch-build/multiarch/tools/plan"
	"github.com/multiarch-build/multiarch/tools/rootfs"
)

// ground is what the program of an image is laid over: its base and its files.
type ground struct {
	base   Base
	files  []layer.Entry // above the base, where they really go; none if hasFiles is false
	tree   *rootfs.Tree  // with the files; nil if the base's files are not known
	needed []layer.Entry // directories that the layer of the program creates
	// hasFiles is whether the image has a layer of files.
	hasFiles bool
}

// ground returns what a child's program is laid over.
func (e *engine) ground(ctx context.Context, p *plan.Plan, m member) (ground, error) {
	return e.grounds.Get(m, func() (ground, error) {
		img := p.Images[m.image]
		c := img.Children[m.child]
		under, err := e.base(ctx, c)
		if err != nil {
			return ground{}, err
		}
		g, err := e.layers.ground(e.tree, c, under)
		if err != nil {
			return ground{}, fmt.Errorf("image %s, %s: %w", img.Name, c.Platform, err)
		}
		return g, nil
	})
}

func (l *layers) ground(tree *os.Root, c plan.Child, under Base) (ground, error) {
	g := ground{base: under}
	below, err := l.treeOf(c, under)
	if err != nil {
		return g, err
	}
	entries, err := l.collect(tree, c)
	if err != nil {
		return g, err
	}
	if g.files, g.tree, err = place(entries, below); err != nil {
		return g, err
	}
	needed := neededEntries(c, under, g.tree)
	if g.hasFiles = len(entries) > 0 || c.Go == nil && len(needed) > 0; !g.hasFiles {
		g.needed = needed
		return g, nil
	}
	g.files, g.tree, err = place(append(entries, needed...), below)
	return g, err
}

// place lays entries over a file system, and returns them as they are written, and the file system that results.
func place(entries []layer.Entry, below *rootfs.Tree) ([]layer.Entry, *rootfs.Tree, error) {
	placed, err := layer.Place(entries, below)
	if err != nil {
		return nil, nil, err
	}
	over, err := layer.Over(below, placed)
	return placed, over, err
}

// collect lists what goes into the layer of files.
func (l *layers) collect(tree *os.Root, c plan.Child) ([]layer.Entry, error) {
	var all []layer.Entry
	for _, f := range c.Files {
		source := layer.Source{From: f.From, To: f.To, Glob: f.Glob, Mode: f.Mode, UID: f.UID, GID: f.GID}
		var err error
		if source.Capabilities, err = capabilities(f.Capabilities); err != nil {
			return nil, err
		}
		// Platforms usually share their files: they are read once.
		entries, err := l.collected.Get(fmt.Sprintf("%#v", source), func() ([]layer.Entry, error) {
			l.slots <- struct{}{}
			defer func() { <-l.slots }()
			return layer.Collect(tree, source)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	for _, d := range c.Directories {
		e := layer.Entry{
			Path: d.Path, Kind: layer.Dir, Mode: cmp.Or(d.Mode, 0o755), KeepMode: d.Mode == 0, KeepOwner: d.Owner == nil, Rank: layer.RankExplicit,
		}
		if d.Owner != nil {
			e.UID, e.GID = d.Owner.UID, d.Owner.GID
		}
		all = append(all, e)
	}
	for _, s := range c.Links {
		all = append(all, layer.Entry{Path: s.Path, Kind: layer.Symlink, Mode: 0o777, Link: s.To, Rank: layer.RankExplicit})
	}
	return all, nil
}

// capabilities returns the value of the attribute for a text of multiarch.yaml; nil for none.
func capabilities(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	set, err := filecap.Parse(text)
	if err != nil {
		return nil, err
	}
	return set.Encode(), nil
}

// neededEntries are the directories that have to exist. They belong to the user of the image, or to root if nobody knows
// who that is.
func neededEntries(c plan.Child, under Base, tree *rootfs.Tree) []layer.Entry {
	if tree == nil {
		return nil // they may be in the base, whose own attributes would be lost
	}
	user := c.Config.User
	if user == "" && under.Config != nil {
		user = under.Config.Config.User
	}
	uid, gid, ok := tree.Owner(user)
	if !ok {
		uid, gid = 0, 0
	}
	var all []layer.Entry
	for _, p := range c.Needed {
		all = append(all, layer.Needed(p, uid, gid))
	}
	return all
}

// filesLayer makes the layer of files of a child; nil if there is none.
func (l *layers) filesLayer(ctx context.Context, c plan.Child, g ground) (*image.Layer, error) {
	if !g.hasFiles {
		return nil, nil
	}
	if c.Go != nil {
		to, err := g.tree.Parent(path.Clean(c.Go.Path))
		if err != nil {
			return nil, err
		}
		for _, e := range g.files {
			if e.Kind != layer.Dir && e.Path == to {
				return nil, &HiddenError{e.Path, cmp.Or(e.From, "a link")}
			}
		}
	}
	return l.make(ctx, image.CreatedByFiles, g.files, optionsOf(c))
}

// program returns the entries of a compiled program.
func (g ground) program(c plan.Child, b gobuild.Binary) ([]layer.Entry, error) {
	e := layer.Entry{
		Path: path.Clean(c.Go.Path), Kind: layer.File, Mode: 0o755, Size: b.Size, SHA256: b.SHA256,
		Contents: func() (io.ReadCloser, error) { return os.Open(b.Path) },
	}
	attribute, err := capabilities(c.Go.Capabilities)
	if err != nil {
		return nil, err
	}
	if attribute != nil {
		e.Xattrs = map[string][]byte{filecap.Attribute: attribute}
	}
	return layer.Place(append([]layer.Entry{e}, g.needed...), g.tree)
}
