package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path"

	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// writeStack writes the file system of an image with layers that were written without knowledge of the layers below
// them. It fails if one of them would change directories or links of those.
func writeStack(_ context.Context, flags *flag.FlagSet, args []string) error {
	var (
		s             subject
		names, layers list
		g             treeFlags
	)
	s.flags(flags)
	flags.StringVar(&g.below, "below", "", "JSON with the file system below the layers (default: empty)")
	flags.Var(&names, "name", "name of a layer, in error messages")
	flags.Var(&layers, "layer", "JSON with the file system of a layer, from the bottom up")
	out := flags.String("tree", "", "output: JSON with the file system including the layers")
	if err := parse(flags, args, "tree"); err != nil {
		return err
	}
	if len(names) != len(layers) {
		return usagef("stack: %d names, %d layers", len(names), len(layers))
	}
	tree, err := g.readBelow()
	if err != nil || tree == nil {
		return errors.Join(err, writeJSON(*out, tree))
	}
	for n, file := range layers {
		layer := rootfs.New()
		if err := readJSON(file, layer); err != nil {
			return err
		}
		if err := tree.Stack(layer); err != nil {
			return s.wrap(&hintError{fmt.Errorf("layer %s: %w", names[n], err), stackHint(err)})
		}
	}
	return writeJSON(*out, tree)
}

// stackHint returns how to resolve a conflict between layers.
func stackHint(err error) string {
	var conflict *rootfs.ConflictError
	if errors.As(err, &conflict) && path.Dir(conflict.Path) == "/" {
		return "use the path that the link points to, or set directories in the layer to the owner and mode below"
	}
	return "choose another path, or set directories in the layer to the owner and mode below"
}
