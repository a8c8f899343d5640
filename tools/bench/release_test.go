package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReleaseRound runs a round with a few images. Every tool pushes something, and an unchanged release requests each
// digest at most once.
func TestReleaseRound(t *testing.T) {
	w, err := openWorkDir(io.Discard)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.close()) }()
	program, err := w.multiarch(t.Context())
	require.NoError(t, err)
	crane := w.path("bin", "crane")
	_, err = w.output(t.Context(),
		command{args: []string{"go", "build", "-o", crane, "github.com/google/go-containerregistry/cmd/crane"}})
	require.NoError(t, err)
	layouts, digests, err := w.layouts(size{3, 2}, []string{"linux/amd64", "linux/arm/v7"})
	require.NoError(t, err)
	assert.Len(t, layouts, 3)
	assert.Equal(t, 1+3*(1+2*3), digests,
		"a shared layer; an index per image; a manifest, a config and a layer per platform")
	var costs [3][]cost
	var requests [3]int64
	require.NoError(t, w.releaseRound(t.Context(), program, crane, layouts, &costs, &requests))
	for n, c := range costs {
		require.Len(t, c, 1)
		assert.Positive(t, c[0].wall, n)
		assert.Positive(t, requests[n], n)
	}
	assert.LessOrEqual(t, requests[1], int64(digests), "nothing changed")
	assert.Greater(t, requests[0], requests[1])
}
