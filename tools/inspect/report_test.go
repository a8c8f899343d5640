package inspect_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/inspect"
)

func TestReport(t *testing.T) {
	index := goodIndex(t, "linux/amd64", "linux/arm/v7", "windows/amd64")
	s := open(t, "oci:"+writeLayout(t, index))
	r, err := inspect.NewReport(t.Context(), s)
	require.NoError(t, err)
	list, err := index.IndexManifest()
	require.NoError(t, err)

	assert.Equal(t, s.Root.Digest, r.Digest)
	assert.Equal(t, s.Root.Size, r.Size)
	require.Len(t, r.Children, 3)
	var bytes, shared int64
	for i, c := range r.Children {
		d := list.Manifests[i]
		assert.Equal(t, d.Digest, c.Digest)
		assert.Equal(t, d.Size, c.ManifestSize)
		assert.Equal(t, d.Platform.String(), c.Platform.String())
		img, err := index.Image(d.Digest)
		require.NoError(t, err)
		m, err := img.Manifest()
		require.NoError(t, err)
		require.Len(t, c.Layers, 2)
		assert.Equal(t, d.Size+m.Config.Size+m.Layers[0].Size+m.Layers[1].Size, c.Size)
		assert.Equal(t, 3, c.Layers[0].Children)
		assert.Equal(t, 1, c.Layers[1].Children)
		assert.Equal(t, m.Layers[1].Digest, c.Layers[1].Digest)
		bytes += c.Size
		shared = c.Layers[0].Size
	}
	assert.Equal(t, inspect.Totals{Platforms: 3, Bytes: bytes, Unique: bytes - 2*shared}, r.Totals)
}

func TestReportJSON(t *testing.T) {
	r, err := inspect.NewReport(t.Context(), open(t, "oci:"+writeLayout(t, hello(t, "linux/amd64"))))
	require.NoError(t, err)
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	var back inspect.Report
	require.NoError(t, json.Unmarshal(raw, &back))
	assert.Equal(t, *r, back)
	var document map[string]any
	require.NoError(t, json.Unmarshal(raw, &document))
	assert.ElementsMatch(t, []string{"name", "mediaType", "digest", "size", "children", "totals"}, keys(document))
	child := document["children"].([]any)[0].(map[string]any)
	assert.ElementsMatch(t, []string{"platform", "mediaType", "digest", "manifestSize", "size", "config", "layers"}, keys(child))
	assert.Equal(t, "linux/amd64", child["platform"])
	assert.ElementsMatch(t, []string{"mediaType", "digest", "size", "children"}, keys(child["layers"].([]any)[0].(map[string]any)))
	assert.ElementsMatch(t, []string{"platforms", "bytes", "uniqueBytes"}, keys(document["totals"].(map[string]any)))
}

func keys(m map[string]any) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

func TestTable(t *testing.T) {
	img := hello(t, "linux/amd64")
	subject, err := img.Digest()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		ref  string
		want []string
	}{
		"index": {"oci:" + writeLayout(t, goodIndex(t, "linux/amd64", "linux/arm/v7")), []string{
			"PLATFORM DIGEST SIZE LAYERS SHARED",
			"linux/amd64 sha256:... SIZE 2 1 (2.56kB)",
			"linux/arm/v7 sha256:... SIZE 2 1 (2.56kB)",
			"2 platforms, SIZE in all, SIZE unique",
		}},
		"image": {"oci:" + writeLayout(t, img), []string{
			"PLATFORM DIGEST SIZE LAYERS SHARED",
			"linux/amd64 sha256:... SIZE 2 -",
			"1 platform, SIZE in all, SIZE unique",
		}},
		"attestation": {"oci:" + writeLayout(t, attested(t, img, subject)), []string{
			"PLATFORM DIGEST SIZE LAYERS SHARED",
			"linux/amd64 sha256:... SIZE 2 -",
			"attestation of linux/amd64 sha256:... NkB 1 -",
			"1 platform, SIZE in all, SIZE unique",
		}},
	} {
		r, err := inspect.NewReport(t.Context(), open(t, c.ref))
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, r.Table(&out))
		rows := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		var got []string
		for _, row := range rows {
			row = digests.ReplaceAllString(row, "sha256:...")
			row = strings.Join(strings.Fields(row), " ")
			got = append(got, sizes.ReplaceAllString(row, "SIZE"))
		}
		for i := range got {
			if strings.HasPrefix(got[i], "attestation") {
				got[i] = kilobytes.ReplaceAllString(got[i], "NkB")
			}
		}
		assert.Equal(t, c.want, got, name)
		column := strings.Index(rows[0], "DIGEST")
		for _, row := range rows[1 : len(rows)-1] {
			assert.Equal(t, "sha256:", row[column:column+7], "columns stand below each other")
		}
	}
}
