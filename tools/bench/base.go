package main

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// serveBase serves a base image index for ko, which can read bases only from a registry. Each image has a single tiny
// layer, which is smaller than the base static of multiarch. stop ends the server.
func serveBase(platforms []platform) (reference string, stop func(), err error) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer func() {
		if err != nil {
			server.Close()
		}
	}()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		parsed, err := v1.ParsePlatform(p.Name)
		if err != nil {
			return "", nil, fmt.Errorf("building a base for %s: %w", p.Name, err)
		}
		image, err := baseImage(*parsed)
		if err != nil {
			return "", nil, fmt.Errorf("building a base for %s: %w", p.Name, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: parsed}})
	}
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/base:latest")
	if err == nil {
		err = remote.WriteIndex(ref, index)
	}
	if err != nil {
		return "", nil, fmt.Errorf("serving a base: %w", err)
	}
	return ref.String(), server.Close, nil
}

func baseImage(p v1.Platform) (v1.Image, error) {
	layer, err := crane.Layer(map[string][]byte{
		"etc/passwd": []byte(
			"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
		),
		"etc/os-platform": []byte(p.String() + "\n"),
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(
		mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1),
		layer,
	)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	return mutate.ConfigFile(image, config)
}
