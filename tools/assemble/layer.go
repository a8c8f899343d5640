package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// subject is the image that messages are about.
type subject struct{ image, platform string }

func (s *subject) flags(f *flag.FlagSet) {
	f.StringVar(&s.image, "image", "", "the image, for messages")
	f.StringVar(&s.platform, "platform", "", "the platform")
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

// writeLayer turns files into a blob and what is known about it. Every file is read once.
func writeLayer(ctx context.Context, flags *flag.FlagSet, args []string) (failed error) {
	var (
		s       subject
		entries list
		debs    list
		ground  groundFlags
	)
	s.flags(flags)
	blob := flags.String("blob", "", "the compressed tar to write")
	descriptor := flags.String("descriptor", "", "the JSON to write about it")
	system := flags.String("os", "linux", "the operating system of the image")
	compression := flags.String("compression", "gzip", "gzip or zstd")
	holds := flags.String("holds", "", "what is in it: files, program, static (the base), or packages")
	flags.Var(&entries, "entry", "a file, in JSON")
	name := flags.String("name", "", "what the base of packages is called")
	list := flags.String("packages", "", "JSON: the packages, as multiarch.lock has them")
	flags.Var(&debs, "deb", "a package, called by its SHA-256")
	ground.flags(flags)
	slim := flags.Bool("slim", false, "leave out what programs do not read")
	if err := parse(flags, args, "blob", "descriptor", "holds"); err != nil {
		return err
	}
	if err := fitting(*holds, *name, *list); err != nil {
		return err
	}
	if *compression != "gzip" && *compression != "zstd" {
		return usagef("layer: unknown compression %q: there are gzip and zstd", *compression)
	}
	about := layerFile{}
	var content []layer.Entry
	switch *holds {
	case "files":
		about.CreatedBy = image.CreatedByFiles
	case "program":
		about.CreatedBy = image.CreatedByProgram
	case "static":
		about.CreatedBy, about.Env = image.CreatedByBase+"static", static.Env()
		var err error
		if content, err = static.Entries(); err != nil {
			return fmt.Errorf("making base static: %w", err)
		}
	case "packages":
		tree, env, err := packages(ctx, *list, debs, *slim, filepath.Dir(*blob))
		if err != nil {
			return fmt.Errorf("making base %s: %w", *name, err)
		}
		defer func() { failed = errors.Join(failed, tree.Close()) }()
		about.CreatedBy, about.Env, content = image.CreatedByBase+*name, env, tree.Entries
	}
	for _, text := range entries {
		e, err := s.entry(text)
		if err != nil {
			return s.wrap(err)
		}
		content = append(content, e)
	}
	content, tree, err := ground.stack(content)
	if err != nil {
		return s.wrap(err)
	}
	for _, e := range content {
		if e.Kind != layer.Dir && above(*holds) {
			about.Files = append(about.Files, e.Path)
		}
	}
	slices.Sort(about.Files)
	about.Files = slices.Compact(about.Files)
	o := layer.Options{OS: *system, Zstd: *compression == "zstd", Epoch: time.Unix(0, 0)}
	err = writeFile(*blob, func(w io.Writer) (err error) {
		about.Descriptor, err = layer.Write(ctx, w, content, o)
		return err
	})
	if err != nil {
		return s.wrap(err)
	}
	if ground.tree != "" {
		if err := writeJSON(ground.tree, tree); err != nil {
			return err
		}
	}
	return writeJSON(*descriptor, about)
}

// above tells whether a layer is above the base: its files are those of the image, which no other layer may hide.
func above(holds string) bool { return holds == "files" || holds == "program" }

// fitting looks for flags that are wrong together.
func fitting(holds, name, packages string) error {
	switch holds {
	case "files", "program", "static":
		return nil
	case "packages":
		if name == "" || packages == "" {
			return usagef("layer: -holds packages needs -name and -packages")
		}
		return nil
	}
	return usagef("layer: -holds %q: there are files, program, static and packages", holds)
}

func (s subject) entry(text string) (layer.Entry, error) {
	var e entryFlag
	if err := unmarshal("-entry", []byte(text), &e); err != nil {
		return layer.Entry{}, &usageError{err}
	}
	if !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || e.Path == "/" {
		return layer.Entry{}, &hintError{fmt.Errorf("%q is not a path of a file in an image", e.Path), "write an absolute path without . and .., such as /app/hello"}
	}
	if e.Dir {
		return layer.TreeDir(e.Path, e.Mode, e.UID, e.GID), nil
	}
	attribute, err := layer.Capabilities(e.Capabilities)
	if err != nil {
		return layer.Entry{}, err
	}
	info, err := os.Stat(e.From)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return layer.Entry{}, &hintError{fmt.Errorf("%s, which goes to %s, does not exist", e.From, e.Path), "build it, or take it out of files"}
	case err != nil:
		return layer.Entry{}, err
	case !info.Mode().IsRegular():
		return layer.Entry{}, &hintError{fmt.Errorf("%s, which goes to %s, is not a file", e.From, e.Path), "give the files in it, by a glob"}
	}
	if e.Binary {
		if err := s.suits(e.From); err != nil {
			return layer.Entry{}, err
		}
	}
	mode := uint32(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	xattrs, err := attributes(e.From, attribute)
	if err != nil {
		return layer.Entry{}, err
	}
	return layer.Entry{
		Path: e.Path, Kind: layer.File, Mode: cmp.Or(e.Mode, mode), UID: e.UID, GID: e.GID, Size: info.Size(), From: e.From, Xattrs: xattrs,
		Contents: func() (io.ReadCloser, error) { return os.Open(e.From) },
	}, nil
}

// attributes returns the extended attributes of a file of an image that has the given capabilities.
func attributes(from string, capabilities []byte) (map[string][]byte, error) {
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return layer.Capable(f, from, capabilities)
}

// machO are the first bytes of programs for macOS, which is what the host's compiler makes on a Mac.
var machO = [][]byte{{0xcf, 0xfa, 0xed, 0xfe}, {0xce, 0xfa, 0xed, 0xfe}, {0xca, 0xfe, 0xba, 0xbe}}

// suits tells whether a program is for the platform. What is no executable, such as a script, is for all of them.
func (s subject) suits(file string) error {
	p, err := suggest.ParsePlatform(s.platform)
	if err != nil {
		return &usageError{err}
	}
	row, ok := arch.Find(p)
	if !ok {
		return usagef("platform %s is not in the table", p)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, arch.HeaderSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	is := ""
	header, ok := arch.ReadHeader(head[:n])
	for _, magic := range machO {
		if bytes.HasPrefix(head[:n], magic) {
			is = "macOS"
		}
	}
	switch {
	case is == "" && (!ok || header == row.Header):
		return nil
	case is == "":
		is = fmt.Sprintf("an unknown platform (%+v)", header)
		for _, other := range arch.Table() {
			// Levels of one architecture share their header; the first row is the plain one.
			if other.Header == header {
				is = other.OS + "/" + other.Architecture
				break
			}
		}
	}
	return &hintError{
		fmt.Errorf("%s is a program for %s", file, is),
		fmt.Sprintf("give a binary that follows --platforms, such as a go_binary or a cc_binary; a prebuilt file goes into overrides = {%q: {\"binary\": ...}}", p),
	}
}
