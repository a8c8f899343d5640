// Package image builds images from layers and settings, and image indexes from images. Config,
// Manifest and IndexManifest compute the bytes from descriptors alone; New and Index wrap them for
// go-containerregistry. No layer is read and nothing is downloaded, so both engines produce the
// same bytes. Settings are merged with the config of the base image as `docker build` does.
package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// Layer is a layer of an image to be built.
type Layer struct {
	layer.Descriptor
	// CreatedBy is the layer's entry in the history of the image.
	CreatedBy string
	// Env is the environment that comes with a layer of a base that is not an image. Values of the
	// image may refer to it.
	Env []string
	// Blob opens the compressed bytes. It may be nil if the image's layers are never read.
	Blob layer.Opener
	// Stream calls read with the compressed bytes without storing them. It may call read again if
	// reading fails. It may be nil.
	Stream func(read func(io.Reader) error) error
}

// Config returns the config file of an image. p must be canonical. base is the config of the image
// that the lowest layers are from, or nil.
func Config(p arch.Platform, s Settings, base *BaseConfig, layers []Layer) ([]byte, error) {
	file := v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		Created: v1.Time{Time: s.Created},
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
		History: history(base, layers, v1.Time{Time: s.Created}),
	}
	if base != nil {
		file.OSVersion, file.OSFeatures = base.OSVersion, base.OSFeatures
	}
	var defaults []string
	for _, l := range layers {
		file.RootFS.DiffIDs = append(file.RootFS.DiffIDs, l.DiffID)
		defaults = append(defaults, l.Env...)
	}
	var (
		others map[string]json.RawMessage
		err    error
	)
	if file.Config, others, err = s.on(p, base, defaults); err != nil {
		return nil, err
	}
	out, err := marshalConfig(file, others)
	if err != nil {
		return nil, fmt.Errorf("encoding the image config: %w", err)
	}
	return out, nil
}

// Manifest returns the manifest of a config and its layers.
func Manifest(config []byte, layers []Layer, annotations map[string]string) ([]byte, error) {
	m := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        describe(types.OCIConfigJSON, config),
		Layers:        []v1.Descriptor{},
		Annotations:   annotations,
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size})
	}
	return marshal("manifest", m)
}

// New returns the image of a config and layers. base is as for Config.
func New(p arch.Platform, s Settings, base *BaseConfig, layers []Layer, annotations map[string]string) (v1.Image,
	error) {
	config, err := Config(p, s, base, layers)
	if err != nil {
		return nil, err
	}
	manifest, err := Manifest(config, layers, annotations)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&core{config, manifest, layers})
}

// core implements partial.CompressedImageCore.
type core struct {
	config, manifest []byte
	layers           []Layer
}

func (c *core) RawConfigFile() ([]byte, error)      { return c.config, nil }
func (c *core) RawManifest() ([]byte, error)        { return c.manifest, nil }
func (c *core) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (c *core) configDescriptor() v1.Descriptor     { return describe(types.OCIConfigJSON, c.config) }
func (c *core) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if d := c.configDescriptor(); d.Digest == h {
		return blob{layer.Descriptor{MediaType: d.MediaType, Digest: h, Size: d.Size, DiffID: h},
			func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(c.config)), nil
			}}, nil
	}
	for _, l := range c.layers {
		if l.Descriptor.Digest == h {
			return blob{l.Descriptor, l.Blob}, nil
		}
	}
	return nil, fmt.Errorf("layer %s is not part of the image", h)
}

// blob implements v1.Layer. Its diffID is known, so that nothing is decompressed to compute it.
type blob struct {
	layer.Descriptor
	open layer.Opener
}

func (b blob) Digest() (v1.Hash, error)            { return b.Descriptor.Digest, nil }
func (b blob) DiffID() (v1.Hash, error)            { return b.Descriptor.DiffID, nil }
func (b blob) Size() (int64, error)                { return b.Descriptor.Size, nil }
func (b blob) MediaType() (types.MediaType, error) { return b.Descriptor.MediaType, nil }
func (b blob) Compressed() (io.ReadCloser, error) {
	if b.open == nil {
		return nil, fmt.Errorf("the content of layer %s is not available", b.Descriptor.Digest)
	}
	return b.open()
}

func describe(t types.MediaType, content []byte) v1.Descriptor {
	h, size, _ := v1.SHA256(bytes.NewReader(content)) // reading from memory cannot fail
	return v1.Descriptor{MediaType: t, Digest: h, Size: size}
}

// marshal returns compact JSON with keys in struct order, like go-containerregistry and the
// examples in the specifications.
func marshal(what string, v any) ([]byte, error) {
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the %s: %w", what, err)
	}
	return out, nil
}

func set(list []string) map[string]struct{} {
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(list))
	for _, s := range list {
		m[s] = struct{}{}
	}
	return m
}
