package pull_test

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

func TestResolveRecordsReferenceAndPlatforms(t *testing.T) {
	s := newRegistry(t)
	index := s.push("base:tag", types.OCIImageIndex, platforms(t, "linux/amd64", "linux/arm64/v8")...)
	w := s.requirement("base:tag", "linux/amd64", "linux/arm64")
	locked, err := pull.Resolve(t.Context(), client, w)
	require.NoError(t, err)
	digest, err := index.Digest()
	require.NoError(t, err)
	assert.Equal(t, s.host+"/base:tag@"+digest.String(), locked.Reference)
	assert.Len(t, locked.Platforms, 2)
	assert.Empty(t, (&lock.File{Bases: map[string]lock.Base{"example": {Image: locked}}}).Stale([]lock.Requirement{w}))
}

func TestResolveErrors(t *testing.T) {
	s := newRegistry(t)
	s.push("base:tag", types.OCIImageIndex,
		platforms(t, "linux/amd64", "linux/arm", "linux/arm64", "linux/arm64/v8", "linux/s390x")...)
	for name, c := range map[string]struct {
		image     string
		platforms []string
		declared  map[string]string // platforms: of the base
		message   string
		hint      string
	}{
		"missing platforms": {
			"base:tag", []string{"linux/amd64", "linux/ppc64le", "linux/riscv64"}, nil,
			"base example: " + s.host + "/base:tag has no linux/ppc64le, linux/riscv64",
			"it has: linux/amd64, linux/arm, linux/arm64, linux/arm64/v8, linux/s390x",
		},
		"arm without a variant does not match v7": {
			"base:tag", []string{"linux/arm/v7"}, nil, "has no linux/arm/v7", "platforms: {linux/arm/v7: ...}",
		},
		"missing declared platform": {
			"base:tag", []string{"linux/arm/v7"}, map[string]string{"linux/arm/v7": "linux/arm/v7"}, "has no linux/arm/v7", "",
		},
		"several images for one platform": {
			"base:tag", []string{"linux/arm64"}, nil,
			"/base:tag has several images for linux/arm64: linux/arm64 sha256:", "platforms: {linux/arm64: ...}",
		},
		"missing tag": {
			"base:other", []string{"linux/amd64"}, nil, "base example: reading " + s.host + "/base:other", "check the name",
		},
		"unreachable registry": {
			"", []string{"linux/amd64"}, nil, "base example: ", "check the host and port of 127.0.0.1:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.requirement(c.image, c.platforms...)
			if c.image == "" {
				w.Base.Image = "127.0.0.1:1/base:tag"
			}
			for p, declared := range c.declared {
				parsed, err := arch.Parse(p)
				require.NoError(t, err)
				w.Base.Platforms = map[arch.Platform]config.Text{parsed: config.Text(declared)}
			}
			_, err := pull.Resolve(t.Context(), client, w)
			var unavailable *pull.UnavailableError
			require.ErrorAs(t, err, &unavailable)
			assert.ErrorContains(t, err, c.message)
			assert.Contains(t, unavailable.Hint(), c.hint)
		})
	}
}

func TestResolveUsesDeclaredPlatforms(t *testing.T) {
	s := newRegistry(t)
	index := s.push("base:tag", types.OCIImageIndex, platforms(t, "linux/arm", "linux/arm64", "linux/arm64/v8")...)
	list, err := index.IndexManifest()
	require.NoError(t, err)
	w := s.requirement("base:tag", "linux/arm/v7", "linux/arm64")
	w.Base.Platforms = map[arch.Platform]config.Text{w.Platforms[0]: "linux/arm", w.Platforms[1]: "linux/arm64/v8"}
	locked, err := pull.Resolve(t.Context(), client, w)
	require.NoError(t, err)
	assert.Equal(t, list.Manifests[0].Digest, locked.Platforms["linux/arm/v7"].Manifest.Digest)
	assert.Equal(t, list.Manifests[4].Digest, locked.Platforms["linux/arm64"].Manifest.Digest)
	assert.Equal(t, "linux/arm", locked.Platforms["linux/arm/v7"].Platform)
}

func TestResolveAcceptsSingleImages(t *testing.T) {
	s := newRegistry(t)
	img := s.image(types.DockerManifestList, v1.Platform{OS: "linux", Architecture: "s390x"})
	require.NoError(t, remote.Write(s.ref("one:tag"), img))
	assert.Equal(t, types.DockerManifestSchema2, s.lock("one:tag", "linux/s390x").MediaType)
	_, err := pull.Resolve(t.Context(), client, s.requirement("one:tag", "linux/amd64"))
	assert.ErrorContains(t, err, "has no linux/amd64")
}
