package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// writeBase writes the config and the layer descriptors of an image in an OCI layout, so that other images can use it
// as their base. It does not copy the layers.
func writeBase(_ context.Context, flags *flag.FlagSet, args []string) error {
	name := flags.String("name", "", "name of the base")
	platform := flags.String("platform", "", "platform of the images built on the base")
	dir := flags.String("layout", "", "OCI layout with one image")
	locked := flags.String("lock", "", "multiarch.lock with the expected digest of the image")
	out := flags.String("base", "", "output: JSON with config and layers")
	list := flags.String("tree", "", "output: JSON with directories and links")
	if err := parse(flags, args, "name", "platform", "layout", "base"); err != nil {
		return err
	}
	p, err := suggest.ParsePlatform(*platform)
	if err != nil {
		return &usageError{err}
	}
	b, err := readBase(*name, *dir)
	if err == nil && *locked != "" {
		err = b.checkLock(*locked, *name, p)
	}
	if err == nil && b.Config.OS != p.OS {
		err = fmt.Errorf("the image is for %s/%s", b.Config.OS, b.Config.Architecture)
	}
	if err != nil {
		return fmt.Errorf("base %s for %s: %w", *name, p, err)
	}
	if *list != "" {
		tree, err := b.tree(*dir, p)
		if err == nil {
			err = writeJSON(*list, tree)
		}
		if err != nil {
			return fmt.Errorf("base %s for %s: %w", *name, p, err)
		}
	}
	return writeJSON(*out, b.baseFile)
}

// tree returns the file system tree of the base, or nil for Windows, whose layers have a different format.
func (b *openedBase) tree(dir string, p arch.Platform) (*rootfs.Tree, error) {
	if p.OS == "windows" {
		return nil, nil
	}
	tree := rootfs.New()
	for _, l := range b.Layers {
		f, err := os.Open(filepath.Join(dir, layout.BlobPath(l.Digest)))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(tree.Apply(f), f.Close()); err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.Digest, err)
		}
	}
	return tree, nil
}

// openedBase is a base and the digest of its manifest.
type openedBase struct {
	baseFile
	manifest v1.Hash
}

func readBase(name, dir string) (*openedBase, error) {
	var index v1.IndexManifest
	if err := readLoose(filepath.Join(dir, layout.IndexFile), &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) != 1 || !index.Manifests[0].MediaType.IsImage() {
		return nil, &hintError{
			fmt.Errorf("the layout must contain exactly one image, got %d manifests", len(index.Manifests)),
			"use a layout with one platform: oci.pull with the digest of the platform's manifest",
		}
	}
	blob := func(h v1.Hash) string { return filepath.Join(dir, layout.BlobPath(h)) }
	b := &openedBase{manifest: index.Manifests[0].Digest}
	var m v1.Manifest
	if err := readLoose(blob(b.manifest), &m); err != nil {
		return nil, err
	}
	config, err := os.ReadFile(blob(m.Config.Digest))
	if err != nil {
		return nil, err
	}
	file, layers, err := image.BaseLayers(name, config, m.Layers)
	if err != nil {
		return nil, err
	}
	b.Config = file
	for _, l := range layers {
		b.Layers = append(b.Layers, layerFile{Descriptor: l.Descriptor, CreatedBy: l.CreatedBy})
	}
	return b, nil
}

// checkLock checks the digest of the base against the lock, and completes its config from the lock.
func (b *openedBase) checkLock(file, name string, p arch.Platform) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	all, err := lock.Parse(file, content)
	if err != nil {
		return err
	}
	var locked map[string]lock.Child
	if of := all.Bases[name].Image; of != nil {
		locked = of.Platforms
	}
	child, ok := locked[p.String()]
	switch {
	case !ok:
		return &hintError{fmt.Errorf("not found in %s", lock.Name), "run: multiarch lock, then multiarch generate"}
	case child.Manifest.Digest != b.manifest:
		return &hintError{
			fmt.Errorf("the layout contains %s, but %s has %s", b.manifest, lock.Name, child.Manifest.Digest),
			"run: multiarch generate",
		}
	}
	if b.Config.OSVersion == "" {
		b.Config.OSVersion = child.OSVersion
	}
	if b.Config.OSFeatures == nil {
		b.Config.OSFeatures = slices.Clone(child.OSFeatures)
	}
	return nil
}

// readLoose reads JSON written by other tools, ignoring unknown fields.
func readLoose(file string, v any) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &hintError{
			fmt.Errorf("%s does not exist", file),
			"use a complete OCI image layout, such as one of oci.pull or multiarch_image",
		}
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return nil
}
