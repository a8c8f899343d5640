package manifest_test

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

func TestKindsOfIndexEntries(t *testing.T) {
	linux, unknown := &v1.Platform{
		OS:           "linux",
		Architecture: "amd64",
	}, &v1.Platform{OS: "unknown", Architecture: "unknown"}
	attests := map[string]string{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": "sha256:1234",
	}
	for name, c := range map[string]struct {
		entry       v1.Descriptor
		image       bool
		attestation bool
		subject     string
	}{
		"image":        {v1.Descriptor{MediaType: types.OCIManifestSchema1, Platform: linux}, true, false, ""},
		"docker image": {v1.Descriptor{MediaType: types.DockerManifestSchema2, Platform: linux}, true, false, ""},
		"no platform":  {v1.Descriptor{MediaType: types.OCIManifestSchema1}, true, false, ""},
		"nested index": {v1.Descriptor{MediaType: types.OCIImageIndex}, true, false, ""},
		"image with annotations": {
			v1.Descriptor{MediaType: types.OCIManifestSchema1, Platform: linux, Annotations: attests},
			true, false, "",
		},
		"config as artifact type": {
			v1.Descriptor{MediaType: types.OCIManifestSchema1, ArtifactType: string(types.OCIConfigJSON)}, true, false, "",
		},
		"attestation": {
			v1.Descriptor{
				MediaType:   types.OCIManifestSchema1,
				Platform:    unknown,
				Annotations: attests,
			}, false, true, "sha256:1234",
		},
		"attestation without a platform": {
			v1.Descriptor{MediaType: types.OCIManifestSchema1, Annotations: attests}, false, true, "sha256:1234",
		},
		"unknown platform": {v1.Descriptor{MediaType: types.OCIManifestSchema1, Platform: unknown}, false, false, ""},
		"artifact": {
			v1.Descriptor{MediaType: types.OCIManifestSchema1, ArtifactType: "application/spdx+json"},
			false, false, "",
		},
		"layer": {v1.Descriptor{MediaType: types.OCILayer}, false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.image, manifest.IsImage(c.entry))
			subject, ok := manifest.Attestation(c.entry)
			assert.Equal(t, c.attestation, ok)
			assert.Equal(t, c.subject, subject)
		})
	}
}
