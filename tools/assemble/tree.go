package main

import (
	"encoding/json"
	"flag"
	"path"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// treeFlags describe the file system below a layer, and the directories and links that the layer adds to it.
type treeFlags struct {
	below, base, user, tree    string
	directories, links, needed list
}

func (g *treeFlags) flags(f *flag.FlagSet) {
	f.StringVar(&g.below, "below", "", "JSON with the file system below the layer (default: empty)")
	f.StringVar(&g.tree, "tree", "", "output: JSON with the file system including the layer")
	f.Var(&g.directories, "directory", "directory to create, in JSON")
	f.Var(&g.links, "link", "symbolic link to create, in JSON")
	f.Var(&g.needed, "needed", "directory that must exist")
	f.StringVar(&g.user, "user", "", "owner of needed directories (default: the user of -base)")
	f.StringVar(&g.base, "base", "", "JSON with the config of the base image")
}

// stack resolves the paths of entries in the file system below, and returns them and the resulting file system.
func (g *treeFlags) stack(entries []layer.Entry) ([]layer.Entry, *rootfs.Tree, error) {
	for _, text := range g.directories {
		var d directoryFlag
		if err := unmarshal("-directory", []byte(text), &d); err != nil {
			return nil, nil, &usageError{err}
		}
		entries = append(entries, layer.ExplicitDir(path.Clean(d.Path), d.Mode, (*layer.Owner)(d.Owner)))
	}
	for _, text := range g.links {
		var l linkFlag
		if err := unmarshal("-link", []byte(text), &l); err != nil {
			return nil, nil, &usageError{err}
		}
		entries = append(entries, layer.ExplicitLink(path.Clean(l.Path), l.To))
	}
	needs := layer.RequiredDirs{User: g.user}
	for _, p := range g.needed {
		needs.Paths = append(needs.Paths, path.Clean(p))
	}
	if g.base != "" && needs.User == "" {
		var base baseFile
		if err := readJSON(g.base, &base); err != nil {
			return nil, nil, err
		}
		needs.User = base.Config.Config.User
	}
	below, err := g.readBelow()
	if err != nil {
		return nil, nil, err
	}
	return layer.Stack(entries, needs, below)
}

// readBelow reads the file system below the layer. It returns nil if the base has no tree.
func (g *treeFlags) readBelow() (*rootfs.Tree, error) {
	if g.below == "" {
		return rootfs.New(), nil
	}
	var content json.RawMessage
	if err := readJSON(g.below, &content); err != nil {
		return nil, err
	}
	if string(content) == "null" {
		return nil, nil
	}
	tree := rootfs.New()
	return tree, unmarshal(g.below, content, tree)
}
