package contenttest

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// LayoutNames returns the names of the entries of an OCI layout.
func LayoutNames(t testing.TB, dir string) []string {
	t.Helper()
	root, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	list, err := root.IndexManifest()
	require.NoError(t, err)
	names := []string{}
	for _, d := range list.Manifests {
		names = append(names, d.Annotations["org.opencontainers.image.ref.name"])
	}
	return names
}

// RequireLayout requires that dir is an OCI layout with entries of these names, that every blob has the right content,
// and that there are no other blobs.
func RequireLayout(t testing.TB, dir string, names ...string) {
	t.Helper()
	require.Equal(t, append([]string{}, names...), LayoutNames(t, dir))
	root, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(root))

	used := map[string]bool{}
	var note func(v1.ImageIndex)
	note = func(index v1.ImageIndex) {
		list, err := index.IndexManifest()
		require.NoError(t, err)
		for _, d := range list.Manifests {
			used[d.Digest.Hex] = true
			if d.MediaType.IsIndex() {
				sub, err := index.ImageIndex(d.Digest)
				require.NoError(t, err)
				note(sub)
				continue
			}
			img, err := index.Image(d.Digest)
			require.NoError(t, err)
			m, err := img.Manifest()
			require.NoError(t, err)
			used[m.Config.Digest.Hex] = true
			for _, l := range m.Layers {
				used[l.Digest.Hex] = true
			}
		}
	}
	note(root)
	entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	require.NoError(t, err)
	for _, e := range entries {
		assert.True(t, used[e.Name()], "nothing refers to the blob %s", e.Name())
	}
	assert.Len(t, entries, len(used))
}
