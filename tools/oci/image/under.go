package image

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// Under takes an image apart that others stand on: its config, as config has it in JSON, and its layers, which the
// manifest describes, from the bottom up. base is its name in their history. Nobody has opened the layers yet: Blob is
// nil.
func Under(base string, config []byte, layers []v1.Descriptor) (*BaseConfig, []Layer, error) {
	file := &BaseConfig{}
	if err := json.Unmarshal(config, file); err != nil {
		return nil, nil, fmt.Errorf("reading its config: %w", err)
	}
	if len(file.RootFS.DiffIDs) != len(layers) {
		return nil, nil, fmt.Errorf("its config speaks of %d layers, and there are %d", len(file.RootFS.DiffIDs), len(layers))
	}
	var out []Layer
	for n, l := range layers {
		mediaType, err := LayerType(l.MediaType)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, Layer{
			Descriptor: layer.Descriptor{MediaType: mediaType, Digest: l.Digest, Size: l.Size, DiffID: file.RootFS.DiffIDs[n]},
			CreatedBy:  CreatedByBase + base,
		})
	}
	return file, out, nil
}

// LayerType is what a layer's media type is in an image of OCI types. The bytes stay as they are. Image spec, "OCI
// Image Media Types", compatibility matrix.
func LayerType(t types.MediaType) (types.MediaType, error) {
	switch t {
	case types.DockerLayer:
		return types.OCILayer, nil
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer, nil
	case types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer:
		return t, nil
	}
	return "", fmt.Errorf("it has a layer of type %s, which cannot be taken into another image", t)
}
