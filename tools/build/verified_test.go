package build_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

const verified = `
version: 1
platforms: [linux/amd64, linux/arm64]
images:
  one:
    go: {package: ./one}
    base: static
    files: [{from: files, to: /etc/files}]
  two:
    go: {package: ./two}
    base: static
    entrypoint: [/one]
`

// TestVerifyDoesNotReadObservedLayers removes all blobs before the images are verified. The verdicts must be the same
// as those of reading the layers.
func TestVerifyDoesNotReadObservedLayers(t *testing.T) {
	dir, cacheDir := smallTree(t), t.TempDir()
	s := store(t, cacheDir)
	results, err := build.Run(t.Context(), planOf(t, verified), build.Options{Dir: dir, Store: s,
		Observe: func() build.LayerObserver { return verify.NewObserver(s) }})
	require.NoError(t, err)
	fromBytes := map[string]*verify.Verdict{}
	for _, r := range results {
		fromBytes[r.Name], err = verify.Source(t.Context(), sourceOf(t, r))
		require.NoError(t, err)
	}
	blobs := filepath.Join(cacheDir, "blobs", "sha256")
	all, err := os.ReadDir(blobs)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, blob := range all {
		require.NoError(t, os.Remove(filepath.Join(blobs, blob.Name())))
	}
	for _, r := range results {
		v, err := verify.Checks{Memory: s}.Verify(t.Context(), sourceOf(t, r))
		require.NoError(t, err)
		assert.Equal(t, fromBytes[r.Name], v, r.Name)
		assert.Equal(t, r.Name == "two", len(v.Problems) > 0, "%s: %v", r.Name, v.Problems)
	}
	left, err := os.ReadDir(blobs)
	require.NoError(t, err)
	assert.Empty(t, left, "no layer was written again")
}

func sourceOf(t *testing.T, r build.Result) *source.Source {
	t.Helper()
	root, err := partial.Descriptor(r.Index)
	require.NoError(t, err)
	return &source.Source{Name: r.Name, Root: *root, Index: r.Index}
}
