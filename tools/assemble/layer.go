package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// subject is the image in error messages.
type subject struct{ image, platform string }

func (s *subject) flags(f *flag.FlagSet) {
	f.StringVar(&s.image, "image", "", "name of the image in error messages")
	f.StringVar(&s.platform, "platform", "", "platform of the image")
}

func (s subject) wrap(err error) error {
	switch {
	case err == nil || s.image == "":
		return err
	case s.platform == "":
		return fmt.Errorf("image %s: %w", s.image, err)
	}
	return fmt.Errorf("image %s, %s: %w", s.image, s.platform, err)
}

// writeLayer writes the blob and the description of a layer, reading every file once.
func writeLayer(ctx context.Context, flags *flag.FlagSet, args []string) (failed error) {
	var (
		s       subject
		entries list
		debs    list
		trees   treeFlags
	)
	s.flags(flags)
	blob := flags.String("blob", "", "output: compressed tar archive")
	descriptor := flags.String("descriptor", "", "output: JSON that describes the layer")
	system := flags.String("os", "linux", "operating system of the image")
	compression := flags.String("compression", "gzip", "gzip or zstd")
	kind := flags.String("content", "", "content of the layer: files, program, static (the base), or packages")
	flags.Var(&entries, "entry", "file to add, in JSON")
	name := flags.String("name", "", "name of the base, for packages")
	list := flags.String("packages", "", "JSON with the packages' entries in multiarch.lock")
	flags.Var(&debs, "deb", "package file, named after its SHA-256")
	trees.flags(flags)
	archived := flags.String("tar", "", "tar archive whose entries are added")
	exact := flags.Bool("exact", false, "keep the bytes of the tar archive")
	slim := flags.Bool("slim", false, "leave out files that programs do not read")
	if err := parse(flags, args, "blob", "descriptor", "content"); err != nil {
		return err
	}
	if err := checkContent(*kind, *name, *list); err != nil {
		return err
	}
	if *exact && *archived == "" {
		return usagef("layer: -exact requires -tar")
	}
	if *compression != "gzip" && *compression != "zstd" {
		return usagef("layer: unknown compression %q; known: gzip, zstd", *compression)
	}
	file := layerFile{}
	var content []layer.Entry
	switch *kind {
	case "files":
		file.CreatedBy = image.CreatedByFiles
	case "program":
		file.CreatedBy = image.CreatedByProgram
	case "static":
		file.CreatedBy, file.Env = image.CreatedByBase+"static", static.Env()
		var err error
		if content, err = static.Entries(); err != nil {
			return fmt.Errorf("building base static: %w", err)
		}
	case "packages":
		tree, env, err := packages(ctx, *list, debs, *slim, filepath.Dir(*blob))
		if err != nil {
			return fmt.Errorf("building base %s: %w", *name, err)
		}
		defer func() { failed = errors.Join(failed, tree.Close()) }()
		file.CreatedBy, file.Env, content = image.CreatedByBase+*name, env, tree.Entries
	}
	for _, text := range entries {
		e, p, err := s.entry(text)
		if err != nil {
			return s.wrap(err)
		}
		content = append(content, e)
		file.addProgram(p)
	}
	var all *archive
	if *archived != "" {
		var err error
		if all, err = openArchive(*archived, filepath.Dir(*blob)); err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, all.Close()) }()
		content = append(content, all.entries...)
		for _, p := range all.programs {
			file.addProgram(p)
		}
	}
	tree, err := (*rootfs.Tree)(nil), error(nil)
	if *exact {
		tree, err = all.tree()
	} else {
		content, tree, err = trees.stack(content)
	}
	if err != nil {
		return s.wrap(err)
	}
	for _, e := range content {
		if e.Kind != layer.Dir && isAboveBase(*kind) {
			file.Files = append(file.Files, e.Path)
		}
	}
	slices.Sort(file.Files)
	file.Files = slices.Compact(file.Files)
	o := layer.Options{OS: *system, Zstd: *compression == "zstd", Epoch: time.Unix(0, 0)}
	err = writeFile(*blob, func(w io.Writer) (err error) {
		if *exact {
			file.Descriptor, err = all.copyTo(ctx, w, o.Zstd)
		} else {
			file.Descriptor, err = layer.Write(ctx, w, content, o)
		}
		return err
	})
	if err != nil {
		return s.wrap(err)
	}
	if trees.tree != "" {
		if err := writeJSON(trees.tree, tree); err != nil {
			return err
		}
	}
	return writeJSON(*descriptor, file)
}

// isAboveBase reports whether a layer is above the base. Other layers must not replace its files.
func isAboveBase(kind string) bool { return kind == "files" || kind == "program" }

// checkContent checks -content and the flags that depend on it.
func checkContent(kind, name, packages string) error {
	switch kind {
	case "files", "program", "static":
		return nil
	case "packages":
		if name == "" || packages == "" {
			return usagef("layer: -content packages requires -name and -packages")
		}
		return nil
	}
	return usagef("layer: unknown content %q; known: files, program, static, packages", kind)
}
