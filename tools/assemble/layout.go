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
)

// refName is what skopeo and others call an image of a layout by. OCI image spec, "Pre-Defined Annotation Keys".
const refName = "org.opencontainers.image.ref.name"

// writeLayout copies an image or index into an OCI image layout. Digests are those of the descriptors: the actions that
// wrote them read the bytes.
func writeLayout(ctx context.Context, flags *flag.FlagSet, args []string) error {
	var children, manifests, configs, layers, blobs, bases, layouts list
	name := flags.String("name", "", "what the image is called")
	out := flags.String("out", "", "the directory to fill")
	root := flags.String("root", "", "the descriptor of the image or index")
	index := flags.String("index", "", "the image index; none where the root is an image")
	flags.Var(&children, "child", "the descriptor of an image")
	flags.Var(&manifests, "manifest", "the manifest of the same image")
	flags.Var(&configs, "config", "the config of the same image")
	flags.Var(&layers, "layer", "JSON about a layer")
	flags.Var(&blobs, "blob", "the blob of the same layer")
	flags.Var(&bases, "base", "JSON about an image that others stand on")
	flags.Var(&layouts, "base-layout", "the OCI layout with the layers of the same image")
	if err := parse(flags, args, "name", "out", "root"); err != nil {
		return err
	}
	if len(children) != len(manifests) || len(children) != len(configs) || len(layers) != len(blobs) || len(bases) != len(layouts) {
		return usagef("layout: %d children, %d manifests and %d configs, %d layers and %d blobs, %d bases and %d layouts of bases",
			len(children), len(manifests), len(configs), len(layers), len(blobs), len(bases), len(layouts))
	}
	l := folder{dir: *out, have: map[v1.Hash]bool{}}
	if err := os.MkdirAll(filepath.Join(*out, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	for i := range layers {
		var d layerFile
		if err := readJSON(layers[i], &d); err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), l.copy(d.Digest, blobs[i])); err != nil {
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
	if !l.have[top.Digest] {
		return fmt.Errorf("image %s: %s is not among what was given", *name, top.Digest)
	}
	top.Annotations = map[string]string{refName: *name}
	return writeAll(
		output{filepath.Join(*out, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		output{filepath.Join(*out, "index.json"), v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{top}}},
	)
}

// folder is a layout that is being filled.
type folder struct {
	dir  string
	have map[v1.Hash]bool
}

// base takes the layers of a base over.
func (l folder) base(ctx context.Context, file, layout string) error {
	var of baseFile
	if err := readJSON(file, &of); err != nil {
		return err
	}
	for _, one := range of.Layers {
		if err := errors.Join(ctx.Err(), l.copy(one.Digest, filepath.Join(layout, "blobs", one.Digest.Algorithm, one.Digest.Hex))); err != nil {
			return err
		}
	}
	return nil
}

// image takes an image over, and makes sure that everything it names is there.
func (l folder) image(descriptor, manifest, config string) error {
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
		if !l.have[one.Digest] {
			return fmt.Errorf("%s names layer %s, whose blob was not given", manifest, one.Digest)
		}
	}
	return errors.Join(l.copy(m.Config.Digest, config), l.copy(d.Digest, manifest))
}

// index takes an index over, and makes sure that all its images are there.
func (l folder) index(h v1.Hash, file string) error {
	var of v1.IndexManifest
	if err := readJSON(file, &of); err != nil {
		return err
	}
	for _, one := range of.Manifests {
		if !l.have[one.Digest] {
			return fmt.Errorf("%s names image %s (%s), which was not given", file, one.Digest, one.Platform)
		}
	}
	return l.copy(h, file)
}

func (l folder) copy(h v1.Hash, file string) error {
	if l.have[h] {
		return nil
	}
	l.have[h] = true
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(l.dir, "blobs", h.Algorithm, h.Hex), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	// From file to file the system copies, where it can without moving a byte.
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
