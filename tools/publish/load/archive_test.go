package load_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/publish/load"
)

// unpack extracts a tar, and requires that it is reproducible.
func unpack(t testing.TB, archive []byte) string {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		names = append(names, h.Name)
		assert.Equal(t, time.Unix(0, 0), h.ModTime)
		assert.Zero(t, h.Uid+h.Gid)
		assert.Empty(t, h.Uname+h.Gname)
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.Mkdir(path, 0o755))
			continue
		}
		content, err := io.ReadAll(tr)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
	assert.True(t, slices.IsSorted(names), names)
	assert.Equal(t, names, slices.Compact(slices.Clone(names)))
	return dir
}

func write(t testing.TB, a load.Archive, images ...content.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, a.Write(t.Context(), &out, images))
	return out.Bytes()
}

func TestOCIArchive(t *testing.T) {
	base := contenttest.NewLayer(t, "base", 50_000)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARMv6)
	py := contenttest.Service(t, "py-app", []v1.Layer{base}, contenttest.AMD64)
	archive := write(t, load.Archive{Format: load.OCI}, hello, py)
	contenttest.RequireLayout(t, unpack(t, archive), "hello", "py-app")
	assert.EqualValues(t, 1, base.Opened.Load())
	assert.Equal(t, archive, write(t, load.Archive{Format: load.OCI}, py, hello),
		"the order of the images does not matter")

	path := filepath.Join(t.TempDir(), "hello.tar")
	require.NoError(t, load.Archive{Format: load.OCI}.WriteFile(t.Context(), path, []content.Image{hello, py}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, archive, content)

	t.Run("skopeo", func(t *testing.T) {
		contenttest.RequireTool(t, "skopeo")
		want, err := hello.Index.RawManifest()
		require.NoError(t, err)
		assert.Equal(t, want, contenttest.Output(t, "skopeo", "inspect", "--raw", "oci-archive:"+path+":hello"))
		contenttest.Output(t, "skopeo", "copy", "--all", "--quiet", "oci-archive:"+path+":py-app", "dir:"+t.TempDir())
	})
	t.Run("one platform and two references", func(t *testing.T) {
		dir := unpack(t, write(t, load.Archive{
			Format: load.OCI, Platform: contenttest.ARMv7,
			References: map[string][]string{"hello": {"hello:v1", "registry.example.com/onap/hello", "hello:v1"}},
		}, hello))
		contenttest.RequireLayout(t, dir, "hello", "hello")
		raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
		require.NoError(t, err)
		list, err := v1.ParseIndexManifest(bytes.NewReader(raw))
		require.NoError(t, err)
		for i, reference := range []string{"docker.io/library/hello:v1", "registry.example.com/onap/hello:latest"} {
			assert.Equal(t, contenttest.DigestOf(t, contenttest.ChildOf(t, hello, contenttest.ARMv6)), list.Manifests[i].Digest,
				"a v7 machine runs v6")
			assert.Equal(t, reference, list.Manifests[i].Annotations["io.containerd.image.name"])
		}
	})
}

func TestDockerArchive(t *testing.T) {
	base := contenttest.NewLayer(t, "base", 50_000)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64)
	py := contenttest.Service(t, "py-app", []v1.Layer{base}, contenttest.ARM64)
	form := load.Archive{
		Format: load.Docker, Platform: contenttest.ARM64,
		References: map[string][]string{"py-app": {"registry.example.com/onap/py-app:v2", "py-app:v1"}},
	}
	archive := write(t, form, hello, py)
	assert.Equal(t, archive, write(t, form, hello, py))
	unpack(t, archive)
	assert.EqualValues(t, 2, base.Opened.Load(), "once for each archive")

	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	list, err := tarball.LoadManifest(open)
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, []string{"hello:latest"}, list[0].RepoTags)
	assert.Equal(t, []string{"py-app:v1", "registry.example.com/onap/py-app:v2"}, list[1].RepoTags)

	path := filepath.Join(t.TempDir(), "py-app.tar")
	require.NoError(t, load.Archive{Format: load.Docker}.WriteFile(t.Context(), path, []content.Image{py}))
	img, err := tarball.ImageFromPath(path, nil)
	require.NoError(t, err)
	require.NoError(t, validate.Image(img))
	want, err := contenttest.ChildOf(t, py, contenttest.ARM64).ConfigName()
	require.NoError(t, err)
	got, err := img.ConfigName()
	require.NoError(t, err)
	assert.Equal(t, want, got)

	t.Run("skopeo", func(t *testing.T) {
		contenttest.RequireTool(t, "skopeo")
		var seen struct{ Architecture string }
		require.NoError(t, json.Unmarshal(contenttest.Output(t, "skopeo", "inspect", "docker-archive:"+path), &seen))
		assert.Equal(t, "arm64", seen.Architecture)
		contenttest.Output(t, "skopeo", "copy", "--quiet", "docker-archive:"+path+":py-app:latest", "dir:"+t.TempDir())
	})
}

func TestArchiveErrors(t *testing.T) {
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARMv7)
	var platform *content.PlatformError
	for name, c := range map[string]struct {
		archive    load.Archive
		want, hint string
	}{
		"no choice made": {
			load.Archive{Format: load.Docker},
			"hello: one platform is needed, and the image has 2", "linux/amd64, linux/arm/v7",
		},
		"none that fits": {
			load.Archive{Format: load.OCI, Platform: contenttest.ARMv6},
			"hello: no image for linux/arm/v6", "linux/amd64, linux/arm/v7",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := c.archive.Write(t.Context(), &out, []content.Image{hello})
			require.ErrorAs(t, err, &platform)
			assert.EqualError(t, err, c.want)
			assert.Contains(t, platform.Hint(), c.hint)
			assert.Empty(t, out.Bytes())
		})
	}
	var format *load.FormatError
	require.ErrorAs(t, load.Archive{Format: "docke"}.Write(t.Context(), io.Discard, nil), &format)
	assert.Equal(t, `did you mean "docker"? known: oci, docker`, format.Hint())

	bad := load.Archive{Format: load.OCI, References: map[string][]string{"hello": {"Not A Reference"}}}
	require.ErrorContains(t, bad.Write(t.Context(), io.Discard, []content.Image{hello}),
		`hello: reference "Not A Reference"`)
}

func TestWriteFileKeepsTheOldFileOnFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hello.tar")
	require.NoError(t, os.WriteFile(path, []byte("the old one"), 0o644))
	broken := contenttest.NewLayer(t, "broken", 5000)
	broken.Read = func() io.ReadCloser { return io.NopCloser(strings.NewReader("short")) }
	hello := contenttest.Service(t, "hello", []v1.Layer{broken}, contenttest.AMD64)

	err := load.Archive{Format: load.OCI}.WriteFile(t.Context(), path, []content.Image{hello})
	require.ErrorContains(t, err, "hello, linux/amd64: layer 1: the content ends after 5 of")
	assert.ErrorContains(t, err, path)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "the old one", string(written))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, load.Archive{Format: load.OCI}.Write(ctx, io.Discard, []content.Image{hello}), context.Canceled)
}
