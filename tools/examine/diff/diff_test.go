package diff_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/diff"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// sizePattern matches the size of a compressed layer, which depends on the compressor.
var sizePattern = regexp.MustCompile(`[0-9.]+k?B`)

func compare(t *testing.T, a, b mutate.Appendable) *diff.Result {
	t.Helper()
	d, err := diff.Compare(t.Context(), sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, a)),
		sourcetest.Open(t, "oci:"+sourcetest.WriteLayout(t, b)))
	require.NoError(t, err)
	return d
}

// body is d as text, without the two lines that name the sides, which every text has, and without digests.
func body(t *testing.T, d *diff.Result) []string {
	t.Helper()
	rows := strings.Split(strings.TrimSuffix(sourcetest.HideDigests(d.String()), "\n"), "\n")
	require.Greater(t, len(rows), 2)
	require.Equal(t, "--- "+d.A.Name+" sha256:...", rows[0])
	require.Equal(t, "+++ "+d.B.Name+" sha256:...", rows[1])
	return rows[2:]
}

// text is a small image of text files.
func text(t testing.TB, platform string, change func(*v1.ConfigFile), layers ...[]sourcetest.File) v1.Image {
	var all []v1.Layer
	for _, l := range layers {
		all = append(all, sourcetest.Layer(t, l...))
	}
	return sourcetest.Image(t, platform, change, all...)
}

func TestDiffOfTheSameReadsNothing(t *testing.T) {
	index := sourcetest.HelloIndex(t, "linux/amd64")
	var mu sync.Mutex
	reads := 0
	host := sourcetest.ServeRegistry(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path != "/v2/" {
			mu.Lock()
			reads++
			mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
	sourcetest.Push(t, host+"/a", index)
	sourcetest.Push(t, host+"/b", index)
	a, b := sourcetest.Open(t, host+"/a"), sourcetest.Open(t, host+"/b")
	reads = 0
	d, err := diff.Compare(t.Context(), a, b)
	require.NoError(t, err)
	assert.True(t, d.Empty())
	assert.Empty(t, d.String())
	assert.Zero(t, reads)
}

func TestDiffOfConfigs(t *testing.T) {
	layer := []sourcetest.File{{Name: "a", Text: "a"}}
	a := text(t, "linux/amd64", func(c *v1.ConfigFile) {
		c.Config.Env = []string{"PATH=/bin", "GOGC=50", "OLD=1"}
		c.Config.Labels = map[string]string{"version": "1"}
		c.Config.User = "root"
	}, layer)
	b := text(t, "linux/amd64", func(c *v1.ConfigFile) {
		c.Config.Env = []string{"GOGC=100", "PATH=/bin", "NEW=a=<b>"}
		c.Config.Labels = map[string]string{"version": "2"}
		c.Config.Entrypoint = []string{"/app/other", "-v"}
		c.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}}
		c.Created = v1.Time{Time: time.Unix(1e9, 0).UTC()}
		c.History[0].Comment = "x"
	}, layer)
	d := compare(t, sourcetest.Index(t, sourcetest.Child{Platform: "linux/amd64", Image: a}),
		sourcetest.Index(t, sourcetest.Child{Platform: "linux/amd64", Image: b}))
	assert.False(t, d.Empty())
	assert.Equal(t, []string{
		"linux/amd64: sha256:... -> sha256:...",
		"  config:",
		`    ~ config.Entrypoint: ["/app/hello"] -> ["/app/other","-v"]`,
		`    ~ config.Env[GOGC]: "50" -> "100"`,
		`    + config.Env[NEW]: "a=<b>"`,
		`    - config.Env[OLD]: "1"`,
		`    + config.ExposedPorts.80/tcp: {}`,
		`    ~ config.Labels.version: "1" -> "2"`,
		`    - config.User: "root"`,
		`    ~ created: "0001-01-01T00:00:00Z" -> "2001-09-09T01:46:40Z"`,
		`    + history[0].comment: "x"`,
	}, body(t, d))
}

func TestDiffOfIndexes(t *testing.T) {
	layer := []sourcetest.File{{Name: "a", Text: "a"}}
	image := func(p string) v1.Image { return text(t, p, nil, layer) }
	a := sourcetest.Index(t, sourcetest.Child{Platform: "linux/amd64", Image: image("linux/amd64")},
		sourcetest.Child{Platform: "linux/arm64", Image: image("linux/arm64")}, sourcetest.Child{
			Platform: "linux/s390x",
			Image:    image("linux/s390x"),
		})
	b := mutate.Annotations(sourcetest.Index(t, sourcetest.Child{Platform: "linux/arm/v7", Image: image("linux/arm/v7")},
		sourcetest.Child{Platform: "linux/arm64/v8", Image: image("linux/arm64")},
		sourcetest.Child{Platform: "linux/amd64", Image: image("linux/amd64")}),
		map[string]string{"org.example": "1"}).(v1.ImageIndex)
	assert.Equal(t, []string{
		"index:",
		`  + annotations.org.example: "1"`,
		"- linux/s390x",
		"+ linux/arm/v7",
		"linux/arm64: only its entry in the index differs",
		"  entry:",
		`    + platform.variant: "v8"`,
	}, body(t, compare(t, a, b)))

	turned := sourcetest.Index(t, sourcetest.Child{Platform: "linux/s390x", Image: image("linux/s390x")},
		sourcetest.Child{Platform: "linux/amd64", Image: image("linux/amd64")}, sourcetest.Child{
			Platform: "linux/arm64",
			Image:    image("linux/arm64"),
		})
	assert.Equal(t, []string{"the children are in a different order"}, body(t, compare(t, a, turned)))

	list := mutate.IndexMediaType(a, types.DockerManifestList)
	assert.Equal(t, []string{
		"index:",
		`  ~ mediaType: "application/vnd.oci.image.index.v1+json" -> ` +
			`"application/vnd.docker.distribution.manifest.list.v2+json"`,
	}, body(t, compare(t, a, list)))

	assert.Equal(t, []string{
		"index:",
		`  ~ mediaType: "application/vnd.oci.image.index.v1+json" -> "application/vnd.oci.image.manifest.v1+json"`,
		"- linux/amd64",
		"- linux/s390x",
	}, body(t, compare(t, a, image("linux/arm64"))))

	assert.Equal(t, []string{
		"linux/amd64 and linux/arm64: sha256:... -> sha256:...",
		"  config:",
		`    ~ architecture: "amd64" -> "arm64"`,
	}, body(t, compare(t, image("linux/amd64"), image("linux/arm64"))))

	annotated := mutate.Annotations(image("linux/amd64"), map[string]string{"x": "1"}).(v1.Image)
	assert.Equal(t, []string{
		"linux/amd64: sha256:... -> sha256:...",
		"  manifest:",
		`    + annotations.x: "1"`,
	}, body(t, compare(t, image("linux/amd64"), annotated)))

	assert.Equal(t, []string{
		"linux/amd64: sha256:... -> sha256:...",
		"  the manifests have the same content in another encoding",
	}, body(t, compare(t, image("linux/amd64"), sourcetest.IndentedManifest{Image: image("linux/amd64")})))
}

func TestDiffOfFiles(t *testing.T) {
	changed := func(change func(*tar.Header)) sourcetest.File {
		return sourcetest.File{Name: "z", Text: "z", Header: change}
	}
	for name, c := range map[string]struct {
		a, b []sourcetest.File
		want []string
	}{
		"content": {
			[]sourcetest.File{{Name: "a", Text: "1"}},
			[]sourcetest.File{{Name: "a", Text: "2"}},
			[]string{"~ /a: content sha256:... -> sha256:..."},
		},
		"size": {
			[]sourcetest.File{{Name: "a", Text: "1"}},
			[]sourcetest.File{{Name: "a", Text: ""}},
			[]string{"~ /a: size 1 -> 0, content sha256:... -> sha256:..."},
		},
		"mode": {
			[]sourcetest.File{{Name: "a"}},
			[]sourcetest.File{{Name: "a", Mode: 0o4755}},
			[]string{"~ /a: mode 0644 -> 4755"},
		},
		"added": {
			[]sourcetest.File{{Name: "a"}},
			[]sourcetest.File{{Name: "a"}, {Name: "b"}, {Name: "c"}},
			[]string{"+ /b", "+ /c"},
		},
		"removed": {[]sourcetest.File{{Name: "a"}, {Name: "b"}}, []sourcetest.File{{Name: "b"}}, []string{"- /a"}},
		"type": {
			[]sourcetest.File{{Name: "a/"}},
			[]sourcetest.File{{Name: "a", Link: "b"}},
			[]string{"~ /a: type directory -> symbolic link, link none -> b"},
		},
		"link": {
			[]sourcetest.File{{Name: "a", Link: "b"}},
			[]sourcetest.File{{Name: "a", Link: "c"}},
			[]string{"~ /a: link b -> c"},
		},
		"owner": {
			[]sourcetest.File{changed(nil)},
			[]sourcetest.File{changed(func(h *tar.Header) { h.Uid, h.Gname = 5, "staff" })},
			[]string{"~ /z: owner 0:0 -> 5:0, owner name none -> :staff"},
		},
		"mtime": {
			[]sourcetest.File{changed(nil)},
			[]sourcetest.File{changed(func(h *tar.Header) { h.ModTime = time.Unix(1e9, 0) })},
			[]string{"~ /z: mtime 1970-01-01T00:00:00Z -> 2001-09-09T01:46:40Z"},
		},
		"extended": {
			[]sourcetest.File{changed(nil)},
			[]sourcetest.File{changed(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "1"} })},
			[]string{"~ /z: extended none -> SCHILY.xattr.user.a=1"},
		},
		"order": {
			[]sourcetest.File{{Name: "a"}, {Name: "b"}},
			[]sourcetest.File{{Name: "b"}, {Name: "a"}},
			[]string{"the files are the same, in a different order or with names that are spelled differently"},
		},
		"form": {
			[]sourcetest.File{{Name: "a"}},
			[]sourcetest.File{{Name: "a", Header: func(h *tar.Header) { h.Format = tar.FormatGNU }}},
			[]string{"the files are the same, and the tar archive is encoded differently"},
		},
	} {
		a, b := text(t, "linux/amd64", nil, []sourcetest.File{{Name: "base"}}, c.a),
			text(t, "linux/amd64", nil, []sourcetest.File{{Name: "base"}}, c.b)
		got := body(t, compare(t, sourcetest.Index(t, sourcetest.Child{Platform: "linux/amd64", Image: a}),
			sourcetest.Index(t, sourcetest.Child{Platform: "linux/amd64", Image: b})))
		want := []string{
			"linux/amd64: sha256:... -> sha256:...",
			"  layer 2 changed: sha256:... (SIZE, uncompressed) -> sha256:... (SIZE, uncompressed)",
		}
		for _, w := range c.want {
			want = append(want, "    "+w)
		}
		got[1] = sizePattern.ReplaceAllString(got[1], "SIZE")
		assert.Equal(t, want, got, name)
	}
}

func TestDiffOfLayers(t *testing.T) {
	one, two, three, four := []sourcetest.File{{Name: "1"}}, []sourcetest.File{{Name: "2"}},
		[]sourcetest.File{{Name: "3"}}, []sourcetest.File{{Name: "4"}}
	for name, c := range map[string]struct {
		a, b [][]sourcetest.File
		want []string
	}{
		"added": {
			[][]sourcetest.File{one, two},
			[][]sourcetest.File{one, three, two},
			[]string{"layer 2 added: sha256:..."},
		},
		"removed": {
			[][]sourcetest.File{one, two, three},
			[][]sourcetest.File{one, three},
			[]string{"layer 2 removed: sha256:..."},
		},
		"changed": {
			[][]sourcetest.File{one, two, three},
			[][]sourcetest.File{one, four, three},
			[]string{"layer 2 changed: sha256:... -> sha256:...", "- /2", "+ /4"},
		},
		"moved": {
			[][]sourcetest.File{one, two, three},
			[][]sourcetest.File{two, three, one},
			[]string{"layer 1 moved to 3: sha256:... -> sha256:..."},
		},
		"changed and added": {[][]sourcetest.File{one, two}, [][]sourcetest.File{three, four, two},
			[]string{"layer 1 changed: sha256:... -> sha256:...", "- /1", "+ /3", "layer 2 added: sha256:..."}},
	} {
		a, b := text(t, "linux/amd64", nil, c.a...), text(t, "linux/amd64", nil, c.b...)
		var got []string
		for _, row := range body(t, compare(t, a, b))[1:] {
			if strings.HasPrefix(row, "  layer") || strings.HasPrefix(row, "    ") {
				row = strings.TrimSpace(strings.ReplaceAll(row, " (1.54kB, uncompressed)", ""))
				if !strings.Contains(row, "history[") {
					got = append(got, row)
				}
			}
		}
		assert.Equal(t, c.want, got, name)
	}
}

func TestDiffOfRecompressedLayers(t *testing.T) {
	content := sourcetest.Tar(t, sourcetest.File{Name: "a", Text: strings.Repeat("a", 10_000)})
	diffID, _, err := v1.SHA256(bytes.NewReader(content))
	require.NoError(t, err)
	packed := func(level int) v1.Image {
		var out bytes.Buffer
		w, err := gzip.NewWriterLevel(&out, level)
		require.NoError(t, err)
		_, err = w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return sourcetest.Image(t, "linux/amd64", nil, sourcetest.LayerWithDiffID{
			Layer: static.NewLayer(out.Bytes(), types.OCILayer),
			ID:    diffID,
		})
	}
	got := body(t, compare(t, packed(1), packed(9)))
	require.Len(t, got, 2)
	assert.Regexp(t, `^  layer 1 recompressed: sha256:\.\.\. \(\d+B, gzip\) -> sha256:\.\.\. \(\d+B, gzip\)$`, got[1])

	plain := sourcetest.Image(t, "linux/amd64", nil, static.NewLayer(content, types.OCIUncompressedLayer))
	got = body(t, compare(t, packed(1), plain))
	require.Len(t, got, 4)
	assert.Equal(t, `    ~ layers[0].mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" -> `+
		`"application/vnd.oci.image.layer.v1.tar"`, got[2])
	assert.Contains(t, got[3], "layer 1 recompressed: ")
}

func TestDiffReadsOnlyLayersThatDifferAndThoseOnce(t *testing.T) {
	var mu sync.Mutex
	reads := map[string]int{}
	host := sourcetest.ServeRegistry(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			mu.Lock()
			reads[filepath.Base(r.URL.Path)]++
			mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
	layers := [][]sourcetest.File{{{Name: "same"}}, {{Name: "differs", Text: "a"}}}
	other := [][]sourcetest.File{{{Name: "same"}}, {{Name: "differs", Text: "b"}}}
	index := func(layers [][]sourcetest.File) v1.ImageIndex {
		var children []sourcetest.Child
		for _, p := range []string{"linux/amd64", "linux/arm64", "linux/s390x"} {
			children = append(children, sourcetest.Child{Platform: p, Image: text(t, p, nil, layers...)})
		}
		return sourcetest.Index(t, children...)
	}
	sourcetest.Push(t, host+"/a", index(layers))
	sourcetest.Push(t, host+"/b", index(other))
	reads = map[string]int{}
	d, err := diff.Compare(t.Context(), sourcetest.Open(t, host+"/a"), sourcetest.Open(t, host+"/b"))
	require.NoError(t, err)
	assert.Len(t, d.Children, 3)
	assert.Len(t, reads, 6+2, "six configs and the two layers that differ")
	for digest, n := range reads {
		assert.Equal(t, 1, n, digest)
	}
}

func TestDiffJSON(t *testing.T) {
	a, b := text(t, "linux/amd64", nil, []sourcetest.File{{Name: "a"}}),
		text(t, "linux/amd64", nil, []sourcetest.File{{Name: "b"}}, []sourcetest.File{{Name: "c"}})
	d := compare(t, a, b)
	raw, err := json.Marshal(d)
	require.NoError(t, err)
	var back diff.Result
	require.NoError(t, json.Unmarshal(raw, &back))
	assert.Equal(t, *d, back)
	var document map[string]any
	require.NoError(t, json.Unmarshal(raw, &document))
	assert.ElementsMatch(t, []string{"a", "b", "children"}, slices.Collect(maps.Keys(document)))
	one := document["children"].([]any)[0].(map[string]any)
	assert.ElementsMatch(t, []string{"child", "a", "b", "config", "layers"}, slices.Collect(maps.Keys(one)))
	assert.Equal(t, "changed", one["layers"].([]any)[0].(map[string]any)["kind"])
	assert.Equal(t, "added", one["layers"].([]any)[1].(map[string]any)["kind"])
}

func TestDiffOfWhatIsDamaged(t *testing.T) {
	a, b := text(t, "linux/amd64", nil, []sourcetest.File{{Name: "a"}}),
		text(t, "linux/amd64", nil, []sourcetest.File{{Name: "b"}})
	left, right := sourcetest.WriteLayout(t, a), sourcetest.WriteLayout(t, b)
	layers, err := b.Layers()
	require.NoError(t, err)
	h, err := layers[0].Digest()
	require.NoError(t, err)
	blob := sourcetest.BlobFile(right, h.String())
	for _, damage := range []func() error{
		func() error { return os.Truncate(blob, 600) },
		func() error { return os.Remove(blob) },
	} {
		require.NoError(t, damage())
		_, err = diff.Compare(t.Context(), sourcetest.Open(t, "oci:"+left), sourcetest.Open(t, "oci:"+right))
		require.ErrorContains(t, err, fmt.Sprintf("oci:%s: layer 1 (%s): ", right, h))
	}
}
