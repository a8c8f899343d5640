// Package contenttest makes small images for tests: real layers with content that does not compress, in indexes of
// several platforms.
package contenttest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"io"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
)

var (
	AMD64 = arch.Platform{OS: "linux", Architecture: "amd64"}
	ARM64 = arch.Platform{OS: "linux", Architecture: "arm64"}
	ARMv7 = arch.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	ARMv6 = arch.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
)

// Layer is a real layer that counts how often it is opened, and can be made to fail.
type Layer struct {
	v1.Layer
	Opened atomic.Int32
	// Read, if not nil, replaces the content.
	Read func() io.ReadCloser
}

func (l *Layer) Compressed() (io.ReadCloser, error) {
	l.Opened.Add(1)
	if l.Read != nil {
		return l.Read(), nil
	}
	return l.Layer.Compressed()
}

// NewLayer has one file called after the seed, of size bytes that do not compress.
func NewLayer(t testing.TB, seed string, size int) *Layer {
	t.Helper()
	var noise []byte
	for sum := sha256.Sum256([]byte(seed)); len(noise) < size; sum = sha256.Sum256(sum[:]) {
		noise = append(noise, sum[:]...)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	require.NoError(t, tw.WriteHeader(&tar.Header{Name: seed, Mode: 0o644, Size: int64(size)}))
	_, err := tw.Write(noise[:size])
	require.NoError(t, err)
	require.NoError(t, tw.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	require.NoError(t, err)
	return &Layer{Layer: l}
}

func NewImage(t testing.TB, p arch.Platform, layers ...v1.Layer) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	config, err := img.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	img, err = mutate.ConfigFile(img, config)
	require.NoError(t, err)
	img, err = mutate.AppendLayers(img, layers...)
	require.NoError(t, err)
	return img
}

// Child is an image of an index.
type Child struct {
	Platform arch.Platform
	Layers   []v1.Layer
}

func NewIndex(t testing.TB, children ...Child) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, c := range children {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: NewImage(t, c.Platform, c.Layers...),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{
				OS: c.Platform.OS, Architecture: c.Platform.Architecture, Variant: c.Platform.Variant,
			}},
		})
	}
	return index
}

// Service is an image as the build makes them: layers that all platforms share, and a binary for each.
func Service(t testing.TB, name string, shared []v1.Layer, platforms ...arch.Platform) content.Image {
	t.Helper()
	var children []Child
	for _, p := range platforms {
		layers := append(append([]v1.Layer(nil), shared...), NewLayer(t, name+"-"+p.Slug(), 3000))
		children = append(children, Child{p, layers})
	}
	return content.Image{Name: name, Index: NewIndex(t, children...)}
}

func DigestOf(t testing.TB, d interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := d.Digest()
	require.NoError(t, err)
	return h
}

// ChildOf is the image of a platform in an index.
func ChildOf(t testing.TB, image content.Image, p arch.Platform) v1.Image {
	t.Helper()
	list, err := image.Index.IndexManifest()
	require.NoError(t, err)
	for _, d := range list.Manifests {
		if arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant) == p {
			img, err := image.Index.Image(d.Digest)
			require.NoError(t, err)
			return img
		}
	}
	require.FailNow(t, "no such child", "%s %s", image.Name, p)
	return nil
}
