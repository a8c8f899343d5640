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
	slim := flags.Bool("slim", false, "leave out files that programs do not read")
	if err := parse(flags, args, "blob", "descriptor", "content"); err != nil {
		return err
	}
	if err := checkContent(*kind, *name, *list); err != nil {
		return err
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
		e, err := s.entry(text)
		if err != nil {
			return s.wrap(err)
		}
		content = append(content, e)
	}
	content, tree, err := trees.stack(content)
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
		file.Descriptor, err = layer.Write(ctx, w, content, o)
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

func (s subject) entry(text string) (layer.Entry, error) {
	var e entryFlag
	if err := unmarshal("-entry", []byte(text), &e); err != nil {
		return layer.Entry{}, &usageError{err}
	}
	if !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || e.Path == "/" {
		return layer.Entry{}, &hintError{
			fmt.Errorf("invalid path %q in the image", e.Path), "use an absolute path without . and .., such as /app/hello",
		}
	}
	if e.Dir {
		return layer.ImplicitDir(e.Path, e.Mode, e.UID, e.GID), nil
	}
	attribute, err := layer.Capabilities(e.Capabilities)
	if err != nil {
		return layer.Entry{}, err
	}
	info, err := os.Stat(e.From)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return layer.Entry{}, &hintError{
			fmt.Errorf("adding %s: %s does not exist", e.Path, e.From),
			"build it, or remove it from files",
		}
	case err != nil:
		return layer.Entry{}, err
	case !info.Mode().IsRegular():
		return layer.Entry{}, &hintError{
			fmt.Errorf("adding %s: %s is not a regular file", e.Path, e.From),
			"list the files in it with a glob",
		}
	}
	if e.Binary {
		if err := s.checkProgram(e.From); err != nil {
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
		Path: e.Path, Kind: layer.File, Mode: cmp.Or(e.Mode, mode), UID: e.UID, GID: e.GID, Size: info.Size(), From: e.From,
		Xattrs:   xattrs,
		Contents: func() (io.ReadCloser, error) { return os.Open(e.From) },
	}, nil
}

// attributes returns the extended attributes of a file with the given capabilities.
func attributes(from string, capabilities []byte) (map[string][]byte, error) {
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return layer.CapabilityXattrs(f, from, capabilities)
}

// machO are the magic numbers of macOS programs, which compilers on a Mac build by default.
var machO = [][]byte{{0xcf, 0xfa, 0xed, 0xfe}, {0xce, 0xfa, 0xed, 0xfe}, {0xca, 0xfe, 0xba, 0xbe}}

// checkProgram checks that a program is for the platform. It accepts files without an executable header, such as
// scripts.
func (s subject) checkProgram(file string) error {
	p, err := suggest.ParsePlatform(s.platform)
	if err != nil {
		return &usageError{err}
	}
	row, ok := arch.Find(p)
	if !ok {
		return usagef("unknown platform %s", p)
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
	target := ""
	header, ok := arch.ReadHeader(head[:n])
	for _, magic := range machO {
		if bytes.HasPrefix(head[:n], magic) {
			target = "macOS"
		}
	}
	switch {
	case target == "" && (!ok || header == row.Header):
		return nil
	case target == "":
		target = fmt.Sprintf("an unknown platform (%+v)", header)
		for _, other := range arch.Table() {
			// Variants of an architecture share a header. The first row has no variant.
			if other.Header == header {
				target = other.OS + "/" + other.Architecture
				break
			}
		}
	}
	return &hintError{
		fmt.Errorf("%s is a program for %s", file, target),
		fmt.Sprintf("use a binary that respects --platforms, such as a go_binary or a cc_binary, "+
			"or set a prebuilt file in overrides = {%q: {\"binary\": ...}}", p),
	}
}
