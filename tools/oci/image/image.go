// Package image assembles: layers and settings become an image, images become an image index. It is pure: the bytes of
// a manifest follow from descriptors alone, no layer is read, and both engines get the same bytes from it.
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

// Layer is a layer of an image to be assembled.
type Layer struct {
	layer.Descriptor
	// CreatedBy is the layer's entry in the image's history.
	CreatedBy string
	// Env is the environment that a layer of a base brings along; values of the image may refer to it.
	Env []string
	// Blob opens the compressed bytes. It may be nil where an image is assembled but never read.
	Blob layer.Opener
	// Stream calls read with the compressed bytes, which nobody keeps; it may call read again if reading fails. If it is
	// nil, Blob is all there is.
	Stream func(read func(io.Reader) error) error
}

// Config returns the config file of an image. The platform is written in canonical form. base is the config of the image
// that the lowest layers are from, nil where they are from none.
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
		return nil, fmt.Errorf("writing the image config: %w", err)
	}
	return out, nil
}

// Manifest returns the manifest that joins a config and its layers.
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

// New assembles an image. base is as for Config.
func New(p arch.Platform, s Settings, base *BaseConfig, layers []Layer, annotations map[string]string) (v1.Image, error) {
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

// core is what go-containerregistry makes a v1.Image of.
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
		return blob{layer.Descriptor{MediaType: d.MediaType, Digest: h, Size: d.Size, DiffID: h}, func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(c.config)), nil
		}}, nil
	}
	for _, l := range c.layers {
		if l.Descriptor.Digest == h {
			return blob{l.Descriptor, l.Blob}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

// blob is a layer as go-containerregistry sees it. Its diffID is known, so nothing is decompressed to find it out.
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
		return nil, fmt.Errorf("the bytes of layer %s are not at hand", b.Descriptor.Digest)
	}
	return b.open()
}

func describe(t types.MediaType, content []byte) v1.Descriptor {
	h, size, _ := v1.SHA256(bytes.NewReader(content)) // reading memory does not fail
	return v1.Descriptor{MediaType: t, Digest: h, Size: size}
}

// marshal writes JSON as go-containerregistry and the specs' examples do: compact, keys in the order of the structs.
func marshal(what string, v any) ([]byte, error) {
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing the %s: %w", what, err)
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
