package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// writeLayout links or copies an image or index into an OCI image layout. It uses the digests in descriptors without
// computing them again.
func writeLayout(ctx context.Context, flags *flag.FlagSet, args []string) error {
	var children, manifests, configs, layers, blobs, bases, layouts list
	name := flags.String("name", "", "name of the image")
	out := flags.String("out", "", "output: directory")
	root := flags.String("root", "", "descriptor of the image or index")
	index := flags.String("index", "", "image index, unless the root is an image")
	flags.Var(&children, "child", "descriptor of an image")
	flags.Var(&manifests, "manifest", "manifest of the same image")
	flags.Var(&configs, "config", "config of the same image")
	flags.Var(&layers, "layer", "JSON that describes a layer")
	flags.Var(&blobs, "blob", "blob of the same layer")
	flags.Var(&bases, "base", "JSON that describes a base image")
	flags.Var(&layouts, "base-layout", "OCI layout with the layers of the same base image")
	if err := parse(flags, args, "name", "out", "root"); err != nil {
		return err
	}
	if len(children) != len(manifests) || len(children) != len(configs) || len(layers) != len(blobs) ||
		len(bases) != len(layouts) {
		return usagef("layout: mismatched flags: %d children, %d manifests, %d configs; %d layers, %d blobs; %d bases, "+
			"%d base layouts",
			len(children), len(manifests), len(configs), len(layers), len(blobs), len(bases), len(layouts))
	}
	l := layoutWriter{dir: *out, written: map[v1.Hash]bool{}}
	if err := os.MkdirAll(filepath.Join(*out, layout.BlobsDir, "sha256"), 0o755); err != nil {
		return err
	}
	for i := range layers {
		var d layerFile
		if err := readJSON(layers[i], &d); err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), l.link(d.Digest, blobs[i])); err != nil {
			return fmt.Errorf("image %s: %w", *name, err)
		}
	}
	for i := range bases {
		if err := l.base(ctx, bases[i], layouts[i]); err != nil {
			return fmt.Errorf("image %s: %w", *name, err)
		}
	}
	var top v1.Descriptor
	if err := readJSON(*root, &top); err != nil {
		return err
	}
	for i := range children {
		if err := l.image(children[i], manifests[i], configs[i]); err != nil {
			return fmt.Errorf("image %s: %w", *name, err)
		}
	}
	if *index != "" {
		if err := l.index(top.Digest, *index); err != nil {
			return fmt.Errorf("image %s: %w", *name, err)
		}
	}
	if !l.written[top.Digest] {
		return fmt.Errorf("image %s: no manifest or index with the root digest %s", *name, top.Digest)
	}
	top.Annotations = map[string]string{layout.NameAnnotation: *name}
	return writeAll(
		output{filepath.Join(*out, layout.MarkerFile), []byte(layout.Marker)},
		output{
			filepath.Join(*out, layout.IndexFile),
			v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{top}},
		},
	)
}

// layoutWriter writes an OCI image layout.
type layoutWriter struct {
	dir     string
	written map[v1.Hash]bool
}

// base copies the layers of a base image.
func (l layoutWriter) base(ctx context.Context, file, from string) error {
	var of baseFile
	if err := readJSON(file, &of); err != nil {
		return err
	}
	for _, one := range of.Layers {
		if err := errors.Join(ctx.Err(), l.copy(one.Digest, filepath.Join(from, layout.BlobPath(one.Digest)))); err != nil {
			return err
		}
	}
	return nil
}

// image copies the manifest and config of an image, and checks that its layers have been copied.
func (l layoutWriter) image(descriptor, manifest, config string) error {
	var d v1.Descriptor
	if err := readJSON(descriptor, &d); err != nil {
		return err
	}
	content, err := os.ReadFile(manifest)
	if err != nil {
		return err
	}
	var m v1.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return fmt.Errorf("reading %s: %w", manifest, err)
	}
	for _, one := range m.Layers {
		if !l.written[one.Digest] {
			return fmt.Errorf("%s: missing blob of layer %s", manifest, one.Digest)
		}
	}
	return errors.Join(l.copy(m.Config.Digest, config), l.copy(d.Digest, manifest))
}

// index copies an index, and checks that its images have been copied.
func (l layoutWriter) index(h v1.Hash, file string) error {
	var of v1.IndexManifest
	if err := readJSON(file, &of); err != nil {
		return err
	}
	for _, one := range of.Manifests {
		if !l.written[one.Digest] {
			return fmt.Errorf("%s: missing image %s (%s)", file, one.Digest, one.Platform)
		}
	}
	return l.copy(h, file)
}

// link adds a layer as a hard link, so that a layout takes neither time nor space. If that is not possible, such as
// between file systems and in some sandboxes, it copies the layer.
func (l layoutWriter) link(h v1.Hash, file string) error {
	if l.written[h] {
		return nil
	}
	source, err := filepath.EvalSymlinks(file) // sandboxes contain symbolic links to inputs
	if err != nil {
		return err
	}
	if os.Link(source, filepath.Join(l.dir, layout.BlobPath(h))) != nil {
		return l.copy(h, file)
	}
	l.written[h] = true
	return nil
}

func (l layoutWriter) copy(h v1.Hash, file string) error {
	if l.written[h] {
		return nil
	}
	l.written[h] = true
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	// The file must not exist: it could be a hard link to an input.
	to, err := os.OpenFile(filepath.Join(l.dir, layout.BlobPath(h)), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	// io.Copy between files uses copy_file_range, which some file systems implement without copying data.
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
