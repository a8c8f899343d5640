package verify_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

func TestVerifyOfARegistryThatServesDamage(t *testing.T) {
	index := sourcetest.HelloIndex(t, "linux/amd64", "linux/arm64")
	amd64, err := index.IndexManifest()
	require.NoError(t, err)
	img, err := index.Image(amd64.Manifests[1].Digest)
	require.NoError(t, err)
	layers, err := img.Layers()
	require.NoError(t, err)
	bad, err := layers[1].Digest()
	require.NoError(t, err)

	var answer func(w http.ResponseWriter, blob []byte)
	var mu sync.Mutex
	reads := map[string]int{}
	host := sourcetest.ServeRegistry(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			mu.Lock()
			reads[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]++
			mu.Unlock()
			if answer != nil && strings.HasSuffix(r.URL.Path, bad.String()) {
				recorded := httptest.NewRecorder()
				next.ServeHTTP(recorded, r)
				answer(w, recorded.Body.Bytes())
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	sourcetest.Push(t, host+"/hello", index)
	reads = map[string]int{}
	v, err := verify.Source(t.Context(), sourcetest.Open(t, host+"/hello"))
	require.NoError(t, err)
	assert.Empty(t, lines(v.Problems))
	assert.Len(t, reads, 5, "two configs, two programs and the layer that both have")
	for digest, n := range reads {
		assert.Equal(t, 1, n, digest)
	}

	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, blob []byte)
		want   string
	}{
		"missing": {func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusNotFound) },
			"linux/arm64: layer 2 (sha256:...): the blob is missing"},
		"other bytes": {func(w http.ResponseWriter, blob []byte) { blob[len(blob)/2] ^= 1; _, _ = w.Write(blob) },
			"linux/arm64: layer 2 (sha256:...): error verifying sha256 checksum"},
		"cut off": {func(w http.ResponseWriter, blob []byte) { _, _ = w.Write(blob[:len(blob)/2]) },
			"linux/arm64: layer 2 (sha256:...): "},
	} {
		answer = c.answer
		v, err = verify.Source(t.Context(), sourcetest.Open(t, host+"/hello"))
		require.NoError(t, err, name)
		require.Len(t, v.Problems, 1, name)
		assert.Contains(t, lines(v.Problems)[0], c.want, name)
	}

	// A server in trouble says nothing about the image.
	answer = func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusForbidden) }
	_, err = verify.Source(t.Context(), sourcetest.Open(t, host+"/hello"))
	require.ErrorContains(t, err, "verifying "+host+"/hello: linux/arm64: reading layer "+bad.String())
}

func TestNothingIsFetchedFromWhereAnImageSays(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	dir := sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64"))
	sourcetest.Forge(t, dir, 0, func(d sourcetest.Documents) {
		d.Manifest["layers"].([]any)[0].(map[string]any)["urls"] = []any{elsewhere.URL}
	})
	v, err := verify.Source(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Empty(t, lines(v.Problems))
	assert.Equal(t, []string{"linux/amd64: layer 1 (sha256:...): not examined: its content is outside the registry"},
		lines(v.Notes))
	assert.False(t, asked)
}
