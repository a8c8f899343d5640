package static_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func entriesByPath(t *testing.T) map[string]layer.Entry {
	t.Helper()
	entries, err := static.Entries()
	require.NoError(t, err)
	byPath := map[string]layer.Entry{}
	for _, e := range entries {
		assert.NotContains(t, byPath, e.Path)
		byPath[e.Path] = e
	}
	return byPath
}

func content(t *testing.T, e layer.Entry) []byte {
	t.Helper()
	r, err := e.Open()
	require.NoError(t, err)
	defer r.Close()
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	return all
}

func TestRootsAreCACertificates(t *testing.T) {
	rest := content(t, entriesByPath(t)[static.Roots])
	n := 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		assert.True(t, cert.IsCA)
		n++
	}
	assert.Greater(t, n, 80)
	assert.Empty(t, rest)
}

func TestEveryTimeZoneLoads(t *testing.T) {
	zones := 0
	for path, e := range entriesByPath(t) {
		if name, ok := strings.CutPrefix(path, "/usr/share/zoneinfo/"); ok {
			_, err := time.LoadLocationFromTZData(name, content(t, e))
			assert.NoError(t, err, name)
			zones++
		}
	}
	assert.Greater(t, zones, 500)
	assert.Contains(t, entriesByPath(t), "/usr/share/zoneinfo/Asia/Tokyo")
}

func TestUsersHaveHomeDirectories(t *testing.T) {
	byPath := entriesByPath(t)
	assert.Contains(t, string(content(t, byPath["/etc/passwd"])), "nonroot:x:65532:65532:")
	home := byPath["/home/nonroot"]
	assert.Equal(t, []any{layer.Dir, uint32(0o700), 65532, 65532}, []any{home.Kind, home.Mode, home.UID, home.GID})
	assert.Equal(t, uint32(0o1777), byPath["/tmp"].Mode)
}
