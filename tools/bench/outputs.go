package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// outputs are the results of a peer, one per service and platform.
type outputs interface {
	// digests returns the digests of all results.
	digests() (map[string]bool, error)
	// programs returns the digests of the executables in the results.
	programs() (map[string]bool, error)
}

// folders is a directory with a subdirectory of executables per platform.
type folders string

func (f folders) digests() (map[string]bool, error) { return f.programs() }

func (f folders) programs() (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(string(f), "*", "*"))
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		digest, err := digestOf(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
		all[digest] = true
	}
	return all, nil
}

// images is a directory with an OCI image layout of indexes.
type images string

func (i images) digests() (map[string]bool, error) {
	all := map[string]bool{}
	err := i.each(func(_ v1.ImageIndex, d v1.Descriptor) error {
		all[d.Digest.String()] = true
		return nil
	})
	return all, err
}

// programs expects one file in the last layer of each image.
func (i images) programs() (map[string]bool, error) {
	all := map[string]bool{}
	err := i.each(func(index v1.ImageIndex, d v1.Descriptor) error {
		image, err := index.Image(d.Digest)
		if err != nil {
			return err
		}
		layers, err := image.Layers()
		if err != nil {
			return err
		}
		if len(layers) == 0 {
			return fmt.Errorf("image %s has no layers", d.Digest)
		}
		digest, err := fileIn(layers[len(layers)-1])
		all[digest] = true
		return err
	})
	return all, err
}

// each visits the images of all indexes.
func (i images) each(visit func(v1.ImageIndex, v1.Descriptor) error) error {
	root, err := layout.ImageIndexFromPath(string(i))
	if err != nil {
		return err
	}
	services, err := root.IndexManifest()
	if err != nil {
		return err
	}
	for _, s := range services.Manifests {
		index, err := root.ImageIndex(s.Digest)
		if err != nil {
			return err
		}
		children, err := index.IndexManifest()
		if err != nil {
			return err
		}
		for _, d := range children.Manifests {
			if err := visit(index, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileIn returns the digest of the only regular file in a layer.
func fileIn(layer v1.Layer) (digest string, err error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return "", err
	}
	defer content.Close()
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && digest == "":
			return "", errors.New("the last layer has no file")
		case errors.Is(err, io.EOF):
			return digest, nil
		case err != nil:
			return "", err
		case header.Typeflag != tar.TypeReg:
		case digest != "":
			return "", fmt.Errorf("the last layer has more than one file: %s", header.Name)
		default:
			if digest, err = digestOf(r); err != nil {
				return "", err
			}
		}
	}
}

func digestOf(r io.Reader) (string, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, r)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// sameWork returns an error unless all peers compiled identical programs. Otherwise their times are not comparable.
func sameWork(peers []*peer) error {
	var first map[string]bool
	for _, p := range peers {
		compiled, err := p.outputs.programs()
		if err != nil {
			return fmt.Errorf("reading the outputs of %s: %w", p.name, err)
		}
		if first == nil {
			first = compiled
		} else if !maps.Equal(first, compiled) {
			return fmt.Errorf("%s and %s compile different programs from the same sources, so their times are not comparable",
				peers[0].name, p.name)
		}
	}
	return nil
}
