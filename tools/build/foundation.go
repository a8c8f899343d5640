package build

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/multiarch-build/multiarch/tools/build/gobuild"
	"github.com/multiarch-build/multiarch/tools/oci/filecap"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// foundation is everything below the layer of the program: the base and the files of an image.
type foundation struct {
	base  Base
	files []layer.Entry      // placed on the base; none if hasFiles is false
	tree  *rootfs.Tree       // base with the files; nil if the base's files are unknown
	needs layer.RequiredDirs // created by the layer of the program
	// hasFiles reports whether the image has a layer of files.
	hasFiles bool
}

// foundation returns what is below the program of a child.
func (e *engine) foundation(ctx context.Context, p *plan.Plan, m member) (foundation, error) {
	return e.foundations.Get(m, func() (foundation, error) {
		img := p.Images[m.image]
		c := img.Children[m.child]
		under, err := e.base(ctx, c)
		if err != nil {
			return foundation{}, err
		}
		g, err := e.layers.foundation(e.tree, img.Name, c, under)
		if err != nil {
			return foundation{}, fmt.Errorf("image %s, %s: %w", img.Name, c.Platform, err)
		}
		return g, nil
	})
}

func (l *layers) foundation(tree *os.Root, name string, c plan.Child, under Base) (foundation, error) {
	g := foundation{base: under}
	below, err := l.treeOf(c, under)
	if err != nil {
		return g, err
	}
	entries, err := l.collect(tree, name, c)
	if err != nil {
		return g, err
	}
	needs := layer.RequiredDirs{Paths: c.RequiredDirs, User: c.Config.User}
	if needs.User == "" && under.Config != nil {
		needs.User = under.Config.Config.User
	}
	if g.hasFiles = len(entries) > 0 || c.Go == nil && len(c.RequiredDirs) > 0; !g.hasFiles {
		g.tree, g.needs = below, needs
		return g, nil
	}
	g.files, g.tree, err = layer.Stack(entries, needs, below)
	return g, err
}

// collect returns the entries of the layer of files.
func (l *layers) collect(tree *os.Root, name string, c plan.Child) ([]layer.Entry, error) {
	var all []layer.Entry
	for _, f := range c.Files {
		source := layer.Source{From: f.From, To: f.To, Glob: f.Glob, Mode: f.Mode, UID: f.UID, GID: f.GID}
		var err error
		if source.Capabilities, err = layer.Capabilities(f.Capabilities); err != nil {
			return nil, err
		}
		// Platforms usually share files, so they are read only once.
		entries, err := l.collected.Get(fmt.Sprintf("%#v", source), func() ([]layer.Entry, error) {
			l.slots <- struct{}{}
			defer func() { <-l.slots }()
			running := l.start(Step{Package, c.Platform, []string{name}})
			defer running.Done()
			source.Refuse = layout.Refuse(f.From) // not part of the key
			return layer.Collect(tree, source)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	for _, d := range c.Directories {
		all = append(all, layer.ExplicitDir(d.Path, d.Mode, (*layer.Owner)(d.Owner)))
	}
	for _, link := range c.Links {
		all = append(all, layer.ExplicitLink(link.Path, link.To))
	}
	return all, nil
}

// filesLayer builds the layer of files of a child, or returns nil if there is none.
func (l *layers) filesLayer(ctx context.Context, name string, c plan.Child, g foundation) (*image.Layer, error) {
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
	return l.make(ctx, Step{Compress, c.Platform, []string{name}}, image.CreatedByFiles, g.files, optionsOf(c))
}

// program returns the entries of a compiled program.
func (g foundation) program(c plan.Child, b gobuild.Binary) ([]layer.Entry, error) {
	e := layer.Entry{
		Path: path.Clean(c.Go.Path), Kind: layer.File, Mode: 0o755, Size: b.Size, SHA256: b.SHA256,
		Contents: func() (io.ReadCloser, error) { return os.Open(b.Path) },
	}
	attribute, err := layer.Capabilities(c.Go.Capabilities)
	if err != nil {
		return nil, err
	}
	if attribute != nil {
		e.Xattrs = map[string][]byte{filecap.Attribute: attribute}
	}
	placed, _, err := layer.Stack([]layer.Entry{e}, g.needs, g.tree)
	return placed, err
}
