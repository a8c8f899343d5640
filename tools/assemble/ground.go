package main

import (
	"encoding/json"
	"flag"
	"path"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// groundFlags are what a layer is laid over, and what it creates there besides files.
type groundFlags struct {
	on, under, user, tree      string
	directories, links, needed list
}

func (g *groundFlags) flags(f *flag.FlagSet) {
	f.StringVar(&g.on, "on", "", "JSON: the file system below the layer; by default it is empty")
	f.StringVar(&g.tree, "tree", "", "JSON to write: the file system with the layer")
	f.Var(&g.directories, "directory", "a directory to create, in JSON")
	f.Var(&g.links, "link", "a symbolic link to create, in JSON")
	f.Var(&g.needed, "needed", "a directory that has to exist")
	f.StringVar(&g.user, "user", "", "who owns needed directories; by default the user of -base")
	f.StringVar(&g.under, "base", "", "JSON about the image that it stands on")
}

// stack returns the entries of a layer where they really go, and the file system that results.
func (g *groundFlags) stack(entries []layer.Entry) ([]layer.Entry, *rootfs.Tree, error) {
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
	needs := layer.Needs{User: g.user}
	for _, p := range g.needed {
		needs.Paths = append(needs.Paths, path.Clean(p))
	}
	if g.under != "" && needs.User == "" {
		var under baseFile
		if err := readJSON(g.under, &under); err != nil {
			return nil, nil, err
		}
		needs.User = under.Config.Config.User
	}
	base, err := g.base()
	if err != nil {
		return nil, nil, err
	}
	return layer.Stack(entries, needs, base)
}

// base reads the file system below the layer. It is nil if nothing is known of it.
func (g *groundFlags) base() (*rootfs.Tree, error) {
	if g.on == "" {
		return rootfs.New(), nil
	}
	var content json.RawMessage
	if err := readJSON(g.on, &content); err != nil {
		return nil, err
	}
	if string(content) == "null" {
		return nil, nil
	}
	tree := rootfs.New()
	return tree, unmarshal(g.on, content, tree)
}
