package image

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// BaseLayers returns the parsed config and the layers of a base image, from the bottom up. base is
// its name in the history. Blob is nil in the result.
func BaseLayers(base string, config []byte, layers []v1.Descriptor) (*BaseConfig, []Layer, error) {
	file := &BaseConfig{}
	if err := json.Unmarshal(config, file); err != nil {
		return nil, nil, fmt.Errorf("parsing its config: %w", err)
	}
	if len(file.RootFS.DiffIDs) != len(layers) {
		return nil, nil, fmt.Errorf("its config lists %d layers, but its manifest has %d", len(file.RootFS.DiffIDs),
			len(layers))
	}
	var out []Layer
	for n, l := range layers {
		mediaType, err := LayerType(l.MediaType)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, Layer{
			Descriptor: layer.Descriptor{MediaType: mediaType, Digest: l.Digest, Size: l.Size,
				DiffID: file.RootFS.DiffIDs[n]},
			CreatedBy: CreatedByBase + base,
		})
	}
	return file, out, nil
}

// LayerType returns the OCI media type for a layer's media type. The bytes are unchanged. See "OCI
// Image Media Types", compatibility matrix, in the image specification.
func LayerType(t types.MediaType) (types.MediaType, error) {
	switch t {
	case types.DockerLayer:
		return types.OCILayer, nil
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer, nil
	case types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer:
		return t, nil
	}
	return "", fmt.Errorf("it has a layer of unsupported type %s", t)
}
