package tests_test

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
)

func needBazel(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_SRCDIR") == "" {
		t.Skip("run by bazel test //tools/rules/tests/..., which builds the images")
	}
}

// resolve copies a file or directory, following the symbolic links that Bazel creates.
func resolve(t *testing.T, from, to string) {
	t.Helper()
	from, err := filepath.EvalSymlinks(from)
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(from, func(file string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := os.Stat(file)
		require.NoError(t, err)
		there := filepath.Join(to, strings.TrimPrefix(file, from))
		if info.IsDir() {
			return os.MkdirAll(there, 0o755)
		}
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		return os.WriteFile(there, content, info.Mode())
	}))
}

// open validates a layout with go-containerregistry and returns the descriptor of the image name.
func open(t *testing.T, dir, name string) (v1.ImageIndex, v1.Descriptor) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "layout") // go-containerregistry refuses blobs that are links
	resolve(t, dir, copied)
	written, err := layout.ImageIndexFromPath(copied)
	require.NoError(t, err)
	var depth []validate.Option
	if strings.HasPrefix(dir, "small") {
		depth = append(depth, validate.Fast) // go-containerregistry does not decompress zstd
	}
	require.NoError(t, validate.Index(written, depth...))
	top, err := written.IndexManifest()
	require.NoError(t, err)
	require.Len(t, top.Manifests, 1)
	assert.Equal(t, name, top.Manifests[0].Annotations["org.opencontainers.image.ref.name"])
	return written, top.Manifests[0]
}

// index returns the image index of a layout.
func index(t *testing.T, name string) v1.ImageIndex {
	t.Helper()
	written, d := open(t, name+".layout", name)
	require.Equal(t, types.OCIImageIndex, d.MediaType)
	i, err := written.ImageIndex(d.Digest)
	require.NoError(t, err)
	return i
}

// platforms lists the platforms of an index in its order.
func platforms(t *testing.T, i v1.ImageIndex) (all []string) {
	t.Helper()
	m, err := i.IndexManifest()
	require.NoError(t, err)
	for _, d := range m.Manifests {
		all = append(all, arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant).String())
	}
	return all
}

func child(t *testing.T, i v1.ImageIndex, n int) (v1.Image, *v1.ConfigFile, []v1.Layer) {
	t.Helper()
	m, err := i.IndexManifest()
	require.NoError(t, err)
	one, err := i.Image(m.Manifests[n].Digest)
	require.NoError(t, err)
	config, err := one.ConfigFile()
	require.NoError(t, err)
	layers, err := one.Layers()
	require.NoError(t, err)
	return one, config, layers
}

// list returns the entries of a layer as lines with mode, owner and path, and the contents of files.
func list(t *testing.T, l v1.Layer) (lines []string, contents map[string][]byte) {
	t.Helper()
	mediaType, err := l.MediaType()
	require.NoError(t, err)
	blob, err := l.Uncompressed()
	if mediaType == types.OCILayerZStd {
		blob, err = l.Compressed()
	}
	require.NoError(t, err)
	defer blob.Close()
	var r io.Reader = blob
	if mediaType == types.OCILayerZStd {
		z, err := zstd.NewReader(blob)
		require.NoError(t, err)
		defer z.Close()
		r = z
	}
	contents = map[string][]byte{}
	for entries := tar.NewReader(r); ; {
		h, err := entries.Next()
		if err == io.EOF {
			return lines, contents
		}
		require.NoError(t, err)
		lines = append(lines, fmt.Sprintf("%04o %d:%d %s", h.Mode, h.Uid, h.Gid, h.Name))
		contents[h.Name], err = io.ReadAll(entries)
		require.NoError(t, err)
	}
}
