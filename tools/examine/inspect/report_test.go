package inspect_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/inspect"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

var (
	shortDigests = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	// megabytes matches the size of a program, which depends on the Go version.
	megabytes = regexp.MustCompile(`[0-9.]+MB`)
	kilobytes = regexp.MustCompile(`[0-9.]+k?B`)
)

func TestReport(t *testing.T) {
	index := sourcetest.HelloIndex(t, "linux/amd64", "linux/arm/v7", "windows/amd64")
	s := sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, index))
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
	r, err := inspect.NewReport(t.Context(),
		sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, sourcetest.Hello(t, "linux/amd64"))))
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
	assert.ElementsMatch(t, []string{"platform", "mediaType", "digest", "manifestSize", "size", "config", "layers"},
		keys(child))
	assert.Equal(t, "linux/amd64", child["platform"])
	assert.ElementsMatch(t, []string{"mediaType", "digest", "size", "children"},
		keys(child["layers"].([]any)[0].(map[string]any)))
	assert.ElementsMatch(t, []string{"platforms", "bytes", "uniqueBytes"}, keys(document["totals"].(map[string]any)))
}

func keys(m map[string]any) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

func TestTable(t *testing.T) {
	img := sourcetest.Hello(t, "linux/amd64")
	subject, err := img.Digest()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		ref  string
		want []string
	}{
		"index": {"oci:" + sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64", "linux/arm/v7")), []string{
			"PLATFORM DIGEST SIZE LAYERS SHARED",
			"linux/amd64 DIGEST SIZE 2 1 (2.56kB)",
			"linux/arm/v7 DIGEST SIZE 2 1 (2.56kB)",
			"2 platforms, SIZE in all, SIZE unique",
		}},
		"image": {"oci:" + sourcetest.WriteLayout(t, img), []string{
			"PLATFORM DIGEST SIZE LAYERS SHARED",
			"linux/amd64 DIGEST SIZE 2 -",
			"1 platform, SIZE in all, SIZE unique",
		}},
		"attestation": {"oci:" + sourcetest.WriteLayout(t, sourcetest.Attested(t, img, subject)), []string{
			"PLATFORM DIGEST SIZE LAYERS SHARED",
			"linux/amd64 DIGEST SIZE 2 -",
			"attestation of linux/amd64 DIGEST NkB 1 -",
			"1 platform, SIZE in all, SIZE unique",
		}},
	} {
		r, err := inspect.NewReport(t.Context(), sourcetest.Open(t, c.ref))
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, r.Table(&out, false))
		rows := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		var got []string
		for _, row := range rows {
			assert.LessOrEqual(t, len(row), 80)
			row = shortDigests.ReplaceAllString(row, "DIGEST")
			row = strings.Join(strings.Fields(row), " ")
			got = append(got, megabytes.ReplaceAllString(row, "SIZE"))
		}
		for i := range got {
			if strings.HasPrefix(got[i], "attestation") {
				got[i] = kilobytes.ReplaceAllString(got[i], "NkB")
			}
		}
		assert.Equal(t, c.want, got, name)
		column := strings.Index(rows[0], "DIGEST")
		for _, row := range rows[1 : len(rows)-1] {
			assert.Regexp(t, `^[0-9a-f]{12} `, row[column:], "columns are aligned")
		}
	}
}

// docker save lists all platforms of an image but includes only one.
func TestReportOfASparseIndex(t *testing.T) {
	dir := sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64", "linux/arm64"))
	whole, err := inspect.NewReport(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	gone := whole.Children[1].Digest
	require.NoError(t, os.Remove(filepath.Join(dir, "blobs", "sha256", gone.Hex)))
	report, err := inspect.NewReport(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.True(t, report.Children[1].Missing)
	assert.Equal(t, 1, report.Totals.Platforms)
	assert.Equal(t, whole.Children[0].Size, report.Totals.Bytes)
	var table bytes.Buffer
	require.NoError(t, report.Table(&table, true))
	assert.Regexp(t, `linux/arm64 +`+gone.String()+` +missing`, table.String())
	v, err := verify.Source(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.NotEmpty(t, v.Problems)
}
