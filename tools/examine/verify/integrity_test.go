package verify_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// Sizes that depend on the Go version.
var (
	layerSizes = regexp.MustCompile(`its descriptor [0-9]{4,}`)
	indexSizes = regexp.MustCompile(`the index has [0-9]+ bytes, its descriptor [0-9]+`)
)

func TestVerifyRecomputesEveryDigestAndSize(t *testing.T) {
	layers := func(d sourcetest.Documents) []any { return d.Manifest["layers"].([]any) }
	layer := func(d sourcetest.Documents, i int) map[string]any { return layers(d)[i].(map[string]any) }
	blobs := func(t *testing.T, dir string, change func(manifest, config, layer string)) {
		sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) {
			change("", sourcetest.BlobFile(dir, d.Manifest["config"].(map[string]any)["digest"].(string)),
				sourcetest.BlobFile(dir, layer(d, 1)["digest"].(string)))
		})
	}
	for name, c := range map[string]struct {
		damage   func(t *testing.T, dir string)
		problems []string
	}{
		"nothing": {damage: func(t *testing.T, dir string) { sourcetest.Forge(t, dir, 1, func(sourcetest.Documents) {}) }},
		"wrong architecture in the config": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { d.Config["architecture"] = "amd64" })
			},
			problems: []string{"linux/arm64: its descriptor has linux/arm64, its config linux/amd64"},
		},
		"no platform in the config": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { delete(d.Config, "os") })
			},
			problems: []string{"linux/arm64: the config has no platform"},
		},
		"no platform in the descriptor": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { delete(d.Descriptor, "platform") })
			},
			problems: []string{"sha256:...: has no platform in the index"},
		},
		"the same platform in another spelling": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 0, func(d sourcetest.Documents) {
					d.Descriptor["platform"] = map[string]any{"os": "linux", "architecture": "arm64", "variant": "v8"}
				})
			},
			problems: []string{
				"linux/arm64: is listed twice: entries 1 (sha256:...) and 2 (sha256:...) of the index are for the same platform",
				"linux/arm64: its descriptor has linux/arm64, its config linux/amd64",
				"linux/arm64: layer 2 (sha256:...): /app/hello: is ELF 64-bit little-endian machine 0x3e (linux/amd64), " +
					"and linux/arm64 runs ELF 64-bit little-endian machine 0xb7 (linux/arm64)",
			},
		},
		"a child of no kind": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { d.Descriptor["mediaType"] = "text/plain" })
			},
			problems: []string{`linux/arm64: its media type in the index is "text/plain", which is not that of an image`},
		},
		"an index within the index": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) {
					d.Descriptor["mediaType"] = string(types.OCIImageIndex)
				})
			},
			problems: []string{"linux/arm64: is a nested index; clients expect an image"},
		},
		"a manifest of another kind": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) {
					d.Manifest["mediaType"] = string(types.DockerManifestSchema2)
				})
			},
			problems: []string{
				`linux/arm64: the manifest has media type "application/vnd.docker.distribution.manifest.v2+json", ` +
					`its descriptor "application/vnd.oci.image.manifest.v1+json"`,
			},
		},
		"wrong diffID": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) {
					ids := d.Config["rootfs"].(map[string]any)["diff_ids"].([]any)
					ids[1] = "sha256:" + strings.Repeat("0", 64)
				})
			},
			problems: []string{"linux/arm64: layer 2 (sha256:...): its diffID is sha256:..., in the config sha256:..."},
		},
		"a layer too many": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { d.Manifest["layers"] = append(layers(d), layer(d, 0)) })
			},
			problems: []string{"linux/arm64: the manifest has 3 layers, the config 2 diffIDs"},
		},
		"wrong size in the manifest": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { layer(d, 0)["size"] = 7 })
			},
			problems: []string{"linux/arm64: layer 1 (sha256:...): the blob has 2560 bytes, its descriptor 7"},
		},
		"wrong media type of a layer": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { layer(d, 0)["mediaType"] = string(types.OCILayerZStd) })
			},
			problems: []string{"linux/arm64: layer 1 (sha256:...): its media type is that of zstd, its content is uncompressed"},
		},
		"truncated layer": {
			damage: func(t *testing.T, dir string) {
				blobs(t, dir, func(_, _, layer string) { require.NoError(t, os.Truncate(layer, 1000)) })
			},
			problems: []string{
				"linux/arm64: layer 2 (sha256:...): the blob has 1000 bytes, its descriptor N",
				"linux/arm64: layer 2 (sha256:...): the digest of the blob is sha256:...",
			},
		},
		"missing layer": {
			damage: func(t *testing.T, dir string) {
				blobs(t, dir, func(_, _, layer string) { require.NoError(t, os.Remove(layer)) })
			},
			problems: []string{"linux/arm64: layer 2 (sha256:...): the blob is missing"},
		},
		"damaged config": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) { d.Config["author"] = "somebody" })
				blobs(t, dir, func(_, config, _ string) {})
				var config string
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) {
					config = sourcetest.BlobFile(dir, d.Manifest["config"].(map[string]any)["digest"].(string))
				})
				raw, err := os.ReadFile(config)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(config, bytes.Replace(raw, []byte("somebody"), []byte("anybody?"), 1), 0o644))
			},
			problems: []string{"linux/arm64: the digest of the config is sha256:..., in its descriptor sha256:..."},
		},
		"config of another kind": {
			damage: func(t *testing.T, dir string) {
				sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) {
					d.Manifest["config"].(map[string]any)["mediaType"] = "text/plain"
				})
			},
			problems: []string{`linux/arm64: the media type of the config is "text/plain", which is not that of an image`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64", "linux/arm64"))
			c.damage(t, dir)
			v, err := verify.Source(t.Context(), sourcetest.Open(t, "oci:"+dir))
			require.NoError(t, err)
			got := lines(v.Problems)
			for i := range got {
				got[i] = layerSizes.ReplaceAllString(got[i], "its descriptor N")
			}
			assert.Equal(t, append([]string{}, c.problems...), got)
		})
	}
}

func TestVerifyOfAnIndexThatIsDamagedItself(t *testing.T) {
	dir := sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64"))
	s := sourcetest.Open(t, "oci:"+dir)
	index := sourcetest.BlobFile(dir, s.Root.Digest.String())
	raw, err := os.ReadFile(index)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		content  string
		problems []string
	}{
		"longer": {string(raw) + "\n", []string{
			"the index has N bytes, its descriptor N", "the digest of the index is sha256:..., in its descriptor sha256:...",
		}},
		"no JSON": {"{", []string{
			"the index has N bytes, its descriptor N", "the digest of the index is sha256:..., in its descriptor sha256:...",
			"the index cannot be read: reading the index: unexpected end of JSON input",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(index, []byte(c.content), 0o644))
			v, err := verify.Source(t.Context(), sourcetest.Open(t, "oci:"+dir))
			require.NoError(t, err)
			got := lines(v.Problems)
			for i := range got {
				got[i] = indexSizes.ReplaceAllString(got[i], "the index has N bytes, its descriptor N")
			}
			assert.Equal(t, c.problems, got)
		})
	}
	require.NoError(t, os.Remove(index))
	v, err := verify.Source(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Equal(t, []string{"the index is missing"}, lines(v.Problems))
}

func TestVerifyReadsEveryCompression(t *testing.T) {
	content := sourcetest.Tar(t, sourcetest.File{
		Name: "app/hello",
		Text: string(sourcetest.Compile(t, "linux/arm/v7")),
		Mode: 0o755,
	})
	var gz, zst bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	z, err := zstd.NewWriter(&zst)
	require.NoError(t, err)
	_, err = z.Write(content)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	diffID, _, err := v1.SHA256(bytes.NewReader(content))
	require.NoError(t, err)
	for mediaType, blob := range map[types.MediaType][]byte{
		types.OCIUncompressedLayer: content, types.OCILayer: gz.Bytes(), types.OCILayerZStd: zst.Bytes(),
	} {
		img := sourcetest.Image(t, "linux/arm/v6", nil, sourcetest.LayerWithDiffID{
			Layer: static.NewLayer(blob, mediaType),
			ID:    diffID,
		})
		v, err := verify.Source(t.Context(),
			sourcetest.Open(t,
				"oci:"+sourcetest.WriteLayout(t, sourcetest.Index(t, sourcetest.Child{Platform: "linux/arm/v6", Image: img}))))
		require.NoError(t, err)
		assert.Equal(t,
			[]string{"linux/arm/v6: layer 1 (sha256:...): /app/hello: built for GOARM=7, which linux/arm/v6 cannot run"},
			lines(v.Problems), mediaType)

		img = sourcetest.Image(t, "linux/arm/v6", nil, sourcetest.LayerWithDiffID{
			Layer: static.NewLayer(append(blob[:len(blob):len(blob)], "more"...), mediaType),
			ID:    diffID,
		})
		v, err = verify.Source(t.Context(),
			sourcetest.Open(t,
				"oci:"+sourcetest.WriteLayout(t, sourcetest.Index(t, sourcetest.Child{Platform: "linux/arm/v6", Image: img}))))
		require.NoError(t, err)
		assert.NotEmpty(t, v.Problems, mediaType)
		assert.Regexp(t, `cannot be decompressed|its diffID is`, v.Problems[0].Text)
	}
}

func TestVerifyOfAPlainImage(t *testing.T) {
	v, err := verify.Source(t.Context(),
		sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, sourcetest.Hello(t, "linux/arm/v7"))))
	require.NoError(t, err)
	assert.Empty(t, v.Problems)
	assert.Equal(t, 1, v.Children)

	wrong := sourcetest.Image(t, "linux/arm/v6", nil,
		sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm/v7"))))
	v, err = verify.Source(t.Context(), sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, wrong)))
	require.NoError(t, err)
	assert.Equal(t,
		[]string{"linux/arm/v6: layer 1 (sha256:...): /app/hello: built for GOARM=7, which linux/arm/v6 cannot run"},
		lines(v.Problems))
}

func TestVerifyOfAnAttestation(t *testing.T) {
	img := sourcetest.Hello(t, "linux/amd64")
	subject, err := img.Digest()
	require.NoError(t, err)
	dir := sourcetest.WriteLayout(t, sourcetest.Attested(t, img, subject))
	v, err := verify.Source(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Empty(t, lines(v.Problems))
	assert.Equal(t, 2, v.Children)

	var statement string
	sourcetest.Forge(t, dir, 1, func(d sourcetest.Documents) {
		statement = sourcetest.BlobFile(dir, d.Manifest["layers"].([]any)[0].(map[string]any)["digest"].(string))
	})
	require.NoError(t, os.WriteFile(statement, []byte(`{"_type":"no such thing"}`), 0o644))
	v, err = verify.Source(t.Context(), sourcetest.Open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Contains(t, lines(v.Problems),
		"attestation of linux/amd64: layer 1 (sha256:...): the digest of the blob is sha256:...")
}

func TestVerifyTellsAFaultOfTheImageFromOneOfTheWay(t *testing.T) {
	dir := sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64"))
	s := sourcetest.Open(t, "oci:"+dir)
	_, err := verify.Source(canceled(t), s)
	require.Error(t, err)
	_, err = verify.Source(t.Context(), &source.Source{Name: "nothing"})
	require.ErrorContains(t, err, "either an index or an image")
	_, err = verify.Source(t.Context(), &source.Source{Name: "both", Index: empty.Index, Image: empty.Image})
	require.ErrorContains(t, err, "either an index or an image")
}
