package publish_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/publish"
)

var (
	amd64 = arch.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = arch.Platform{OS: "linux", Architecture: "arm64"}
	armv7 = arch.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	armv6 = arch.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
)

// layer is a real layer that counts how often it is opened, and can be made to fail.
type layer struct {
	v1.Layer
	opened atomic.Int32
	// read, where it is set, stands for the content.
	read func() io.ReadCloser
}

func (l *layer) Compressed() (io.ReadCloser, error) {
	l.opened.Add(1)
	if l.read != nil {
		return l.read(), nil
	}
	return l.Layer.Compressed()
}

// newLayer has one file called after the seed, of size bytes that do not compress.
func newLayer(t testing.TB, seed string, size int) *layer {
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
	return &layer{Layer: l}
}

func newImage(t testing.TB, p arch.Platform, layers ...v1.Layer) v1.Image {
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

type child struct {
	platform arch.Platform
	layers   []v1.Layer
}

func newIndex(t testing.TB, children ...child) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, c := range children {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: newImage(t, c.platform, c.layers...),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{
				OS: c.platform.OS, Architecture: c.platform.Architecture, Variant: c.platform.Variant,
			}},
		})
	}
	return index
}

// service is an image as the build makes them: layers that all platforms share, and a binary for each.
func service(t testing.TB, name string, shared []v1.Layer, platforms ...arch.Platform) publish.Image {
	t.Helper()
	var children []child
	for _, p := range platforms {
		layers := append(append([]v1.Layer(nil), shared...), newLayer(t, name+"-"+p.Slug(), 3000))
		children = append(children, child{p, layers})
	}
	return publish.Image{Name: name, Index: newIndex(t, children...)}
}

func digestOf(t testing.TB, d interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := d.Digest()
	require.NoError(t, err)
	return h
}

// childOf is the image of a platform in an index.
func childOf(t testing.TB, image publish.Image, p arch.Platform) v1.Image {
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

// tool skips the test where the program is missing, unless all tools have to be there.
func tool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatalf("%s is missing, and MULTIARCH_TEST_TOOLS=all", name)
		}
		t.Skipf("%s is missing", name)
	}
}

// output runs a program and returns its standard output.
func output(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v: %s", name, args, stderr.String())
	return out
}
