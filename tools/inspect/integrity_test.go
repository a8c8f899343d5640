package inspect_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/inspect"
)

func blobFile(dir string, h string) string {
	return filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(h, "sha256:"))
}

func TestVerifyRecomputesEveryDigestAndSize(t *testing.T) {
	layers := func(d documents) []any { return d.manifest["layers"].([]any) }
	layer := func(d documents, i int) map[string]any { return layers(d)[i].(map[string]any) }
	blobs := func(t *testing.T, dir string, change func(manifest, config, layer string)) {
		forge(t, dir, 1, func(d documents) {
			change("", blobFile(dir, d.manifest["config"].(map[string]any)["digest"].(string)), blobFile(dir, layer(d, 1)["digest"].(string)))
		})
	}
	for name, c := range map[string]struct {
		damage   func(t *testing.T, dir string)
		problems []string
	}{
		"nothing": {damage: func(t *testing.T, dir string) { forge(t, dir, 1, func(documents) {}) }},
		"wrong architecture in the config": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { d.config["architecture"] = "amd64" })
			},
			problems: []string{"linux/arm64: its descriptor says linux/arm64, its config linux/amd64"},
		},
		"no platform in the config": {
			damage:   func(t *testing.T, dir string) { forge(t, dir, 1, func(d documents) { delete(d.config, "os") }) },
			problems: []string{"linux/arm64: the config says no platform"},
		},
		"no platform in the descriptor": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { delete(d.descriptor, "platform") })
			},
			problems: []string{"sha256:...: the index says no platform for it"},
		},
		"the same platform in another spelling": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 0, func(d documents) {
					d.descriptor["platform"] = map[string]any{"os": "linux", "architecture": "arm64", "variant": "v8"}
				})
			},
			problems: []string{
				"linux/arm64: is there twice: entries 1 (sha256:...) and 2 (sha256:...) of the index are for the same platform",
				"linux/arm64: its descriptor says linux/arm64, its config linux/amd64",
				"linux/arm64: layer 2 (sha256:...): /app/hello: is ELF 64-bit little-endian machine 0x3e (linux/amd64), " +
					"and linux/arm64 runs ELF 64-bit little-endian machine 0xb7 (linux/arm64)",
			},
		},
		"a child of no kind": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { d.descriptor["mediaType"] = "text/plain" })
			},
			problems: []string{`linux/arm64: the index says its media type is "text/plain", which is no image`},
		},
		"an index within the index": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { d.descriptor["mediaType"] = string(types.OCIImageIndex) })
			},
			problems: []string{"linux/arm64: is an index within the index, where clients look for an image"},
		},
		"a manifest of another kind": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { d.manifest["mediaType"] = string(types.DockerManifestSchema2) })
			},
			problems: []string{`linux/arm64: the manifest calls itself "application/vnd.docker.distribution.manifest.v2+json", ` +
				`its descriptor "application/vnd.oci.image.manifest.v1+json"`},
		},
		"wrong diffID": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) {
					ids := d.config["rootfs"].(map[string]any)["diff_ids"].([]any)
					ids[1] = "sha256:" + strings.Repeat("0", 64)
				})
			},
			problems: []string{"linux/arm64: layer 2 (sha256:...): its diffID is sha256:..., the config says sha256:..."},
		},
		"a layer too many": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { d.manifest["layers"] = append(layers(d), layer(d, 0)) })
			},
			problems: []string{"linux/arm64: the manifest has 3 layers, the config 2 diffIDs"},
		},
		"wrong size in the manifest": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { layer(d, 0)["size"] = 7 })
			},
			problems: []string{"linux/arm64: layer 1 (sha256:...): the blob has 2560 bytes, the manifest says 7"},
		},
		"wrong media type of a layer": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { layer(d, 0)["mediaType"] = string(types.OCILayerZStd) })
			},
			problems: []string{"linux/arm64: layer 1 (sha256:...): its media type says zstd, its bytes are uncompressed"},
		},
		"truncated layer": {
			damage: func(t *testing.T, dir string) {
				blobs(t, dir, func(_, _, layer string) { require.NoError(t, os.Truncate(layer, 1000)) })
			},
			problems: []string{
				"linux/arm64: layer 2 (sha256:...): the blob has 1000 bytes, the manifest says N",
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
				forge(t, dir, 1, func(d documents) { d.config["author"] = "somebody" })
				blobs(t, dir, func(_, config, _ string) {})
				var config string
				forge(t, dir, 1, func(d documents) { config = blobFile(dir, d.manifest["config"].(map[string]any)["digest"].(string)) })
				raw, err := os.ReadFile(config)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(config, bytes.Replace(raw, []byte("somebody"), []byte("anybody?"), 1), 0o644))
			},
			problems: []string{"linux/arm64: the digest of the config is sha256:..., its descriptor says sha256:..."},
		},
		"config of another kind": {
			damage: func(t *testing.T, dir string) {
				forge(t, dir, 1, func(d documents) { d.manifest["config"].(map[string]any)["mediaType"] = "text/plain" })
			},
			problems: []string{`linux/arm64: the media type of the config is "text/plain", which is no image config`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := writeLayout(t, goodIndex(t, "linux/amd64", "linux/arm64"))
			c.damage(t, dir)
			v, err := inspect.Verify(t.Context(), open(t, "oci:"+dir))
			require.NoError(t, err)
			got := lines(v.Problems)
			for i := range got {
				got[i] = regexpSize.ReplaceAllString(got[i], "the manifest says N")
			}
			assert.Equal(t, append([]string{}, c.problems...), got)
		})
	}
}

func TestVerifyOfAnIndexThatIsDamagedItself(t *testing.T) {
	dir := writeLayout(t, goodIndex(t, "linux/amd64"))
	s := open(t, "oci:"+dir)
	index := blobFile(dir, s.Root.Digest.String())
	raw, err := os.ReadFile(index)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		content  string
		problems []string
	}{
		"longer": {string(raw) + "\n", []string{
			"the index has N bytes, its descriptor says N", "the digest of the index is sha256:..., its descriptor says sha256:...",
		}},
		"no JSON": {"{", []string{
			"the index has N bytes, its descriptor says N", "the digest of the index is sha256:..., its descriptor says sha256:...",
			"the index cannot be read: reading the index: unexpected end of JSON input",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(index, []byte(c.content), 0o644))
			v, err := inspect.Verify(t.Context(), open(t, "oci:"+dir))
			require.NoError(t, err)
			got := lines(v.Problems)
			for i := range got {
				got[i] = regexpBytes.ReplaceAllString(got[i], "the index has N bytes, its descriptor says N")
			}
			assert.Equal(t, c.problems, got)
		})
	}
	require.NoError(t, os.Remove(index))
	v, err := inspect.Verify(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Equal(t, []string{"the index is missing"}, lines(v.Problems))
}

func TestVerifyReadsEveryCompression(t *testing.T) {
	content := tarOf(t, file{name: "app/hello", text: string(compile(t, "linux/arm/v7")), mode: 0o755})
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
		img := imageOf(t, "linux/arm/v6", nil, stored{static.NewLayer(blob, mediaType), diffID})
		v, err := inspect.Verify(t.Context(), open(t, "oci:"+writeLayout(t, indexOf(t, child{"linux/arm/v6", img}))))
		require.NoError(t, err)
		assert.Equal(t, []string{"linux/arm/v6: layer 1 (sha256:...): /app/hello: built for GOARM=7, which linux/arm/v6 cannot run"},
			lines(v.Problems), mediaType)

		img = imageOf(t, "linux/arm/v6", nil, stored{static.NewLayer(append(blob[:len(blob):len(blob)], "more"...), mediaType), diffID})
		v, err = inspect.Verify(t.Context(), open(t, "oci:"+writeLayout(t, indexOf(t, child{"linux/arm/v6", img}))))
		require.NoError(t, err)
		assert.NotEmpty(t, v.Problems, mediaType)
		assert.Regexp(t, `cannot be decompressed|its diffID is`, v.Problems[0].Text)
	}
}

// stored is a layer with a diffID of its own.
type stored struct {
	v1.Layer
	diffID v1.Hash
}

func (s stored) DiffID() (v1.Hash, error) { return s.diffID, nil }

func TestVerifyOfAPlainImage(t *testing.T) {
	v, err := inspect.Verify(t.Context(), open(t, "oci:"+writeLayout(t, hello(t, "linux/arm/v7"))))
	require.NoError(t, err)
	assert.Empty(t, v.Problems)
	assert.Equal(t, 1, v.Children)

	wrong := imageOf(t, "linux/arm/v6", nil, app(t, string(compile(t, "linux/arm/v7"))))
	v, err = inspect.Verify(t.Context(), open(t, "oci:"+writeLayout(t, wrong)))
	require.NoError(t, err)
	assert.Equal(t, []string{"linux/arm/v6: layer 1 (sha256:...): /app/hello: built for GOARM=7, which linux/arm/v6 cannot run"}, lines(v.Problems))
}

func TestVerifyOfAnAttestation(t *testing.T) {
	img := hello(t, "linux/amd64")
	subject, err := img.Digest()
	require.NoError(t, err)
	dir := writeLayout(t, attested(t, img, subject))
	v, err := inspect.Verify(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Empty(t, lines(v.Problems))
	assert.Equal(t, 2, v.Children)

	var statement string
	forge(t, dir, 1, func(d documents) {
		statement = blobFile(dir, d.manifest["layers"].([]any)[0].(map[string]any)["digest"].(string))
	})
	require.NoError(t, os.WriteFile(statement, []byte(`{"_type":"no such thing"}`), 0o644))
	v, err = inspect.Verify(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.Contains(t, lines(v.Problems), "attestation of linux/amd64: layer 1 (sha256:...): the digest of the blob is sha256:...")
}

// attested is an index of an image and BuildKit's kind of attestation.
func attested(t testing.TB, img v1.Image, subject v1.Hash) v1.ImageIndex {
	statement := static.NewLayer([]byte(`{"_type":"https://in-toto.io/Statement/v1"}`), "application/vnd.in-toto+json")
	proof := imageOf(t, "unknown/unknown", func(c *v1.ConfigFile) { c.Config = v1.Config{} }, statement)
	index := indexOf(t, child{"linux/amd64", img})
	return mutate.AppendManifests(index, mutate.IndexAddendum{Add: proof, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{
			"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject.String(),
		},
	}})
}

func TestVerifyTellsAFaultOfTheImageFromOneOfTheWay(t *testing.T) {
	dir := writeLayout(t, goodIndex(t, "linux/amd64"))
	s := open(t, "oci:"+dir)
	_, err := inspect.Verify(canceled(t), s)
	require.Error(t, err)
	_, err = inspect.Verify(t.Context(), &inspect.Source{Name: "nothing"})
	require.ErrorContains(t, err, "either an index or an image")
	_, err = inspect.Verify(t.Context(), &inspect.Source{Name: "both", Index: empty.Index, Image: empty.Image})
	require.ErrorContains(t, err, "either an index or an image")
}
