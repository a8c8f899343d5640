package release

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
)

// TestChildrenDifferByWindowsVersion also covers attestations, which are not children.
func TestChildrenDifferByWindowsVersion(t *testing.T) {
	of := func(digit string, p *v1.Platform) v1.Descriptor {
		return v1.Descriptor{
			MediaType: types.OCIManifestSchema1,
			Digest:    v1.Hash{Algorithm: "sha256", Hex: digit},
			Platform:  p,
		}
	}
	var names, digests []string
	for _, c := range children(&v1.IndexManifest{Manifests: []v1.Descriptor{
		of("1", &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}),
		of("2", &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1"}),
		of("3", &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1"}),
		of("4", &v1.Platform{OS: "unknown", Architecture: "unknown"}),
		of("5", nil),
	}}) {
		names, digests = append(names, c.name), append(digests, c.descriptor.Digest.Hex)
	}
	assert.Equal(t, []string{"linux/arm64", "windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"}, names)
	assert.Equal(t, []string{"1", "2", "3"}, digests)
}
