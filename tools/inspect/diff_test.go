package inspect_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/inspect"
)

func diff(t *testing.T, a, b mutate.Appendable) *inspect.Difference {
	t.Helper()
	d, err := inspect.Diff(t.Context(), open(t, "oci:"+writeLayout(t, a)), open(t, "oci:"+writeLayout(t, b)))
	require.NoError(t, err)
	return d
}

// body is d as text, without the two lines that name the sides, which every text has, and without digests.
func body(t *testing.T, d *inspect.Difference) []string {
	t.Helper()
	rows := strings.Split(strings.TrimSuffix(digests.ReplaceAllString(d.String(), "sha256:..."), "\n"), "\n")
	require.Greater(t, len(rows), 2)
	require.Equal(t, "--- "+d.A.Name+" sha256:...", rows[0])
	require.Equal(t, "+++ "+d.B.Name+" sha256:...", rows[1])
	return rows[2:]
}

// text is a small image of text files.
func text(t testing.TB, platform string, change func(*v1.ConfigFile), layers ...[]file) v1.Image {
	var all []v1.Layer
	for _, l := range layers {
		all = append(all, layerOf(t, l...))
	}
	return imageOf(t, platform, change, all...)
}

func TestDiffOfTheSameReadsNothing(t *testing.T) {
	index := goodIndex(t, "linux/amd64")
	reads := 0
	host := serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path != "/v2/" {
			mu.Lock()
			reads++
			mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
	push(t, host+"/a", index)
	push(t, host+"/b", index)
	a, b := open(t, host+"/a"), open(t, host+"/b")
	reads = 0
	d, err := inspect.Diff(t.Context(), a, b)
	require.NoError(t, err)
	assert.True(t, d.Empty())
	assert.Empty(t, d.String())
	assert.Zero(t, reads)
}

func TestDiffOfConfigs(t *testing.T) {
	layer := []file{{name: "a", text: "a"}}
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
	d := diff(t, indexOf(t, child{"linux/amd64", a}), indexOf(t, child{"linux/amd64", b}))
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
	layer := []file{{name: "a", text: "a"}}
	image := func(p string) v1.Image { return text(t, p, nil, layer) }
	a := indexOf(t, child{"linux/amd64", image("linux/amd64")}, child{"linux/arm64", image("linux/arm64")}, child{"linux/s390x", image("linux/s390x")})
	b := mutate.Annotations(indexOf(t, child{"linux/arm/v7", image("linux/arm/v7")}, child{"linux/arm64/v8", image("linux/arm64")},
		child{"linux/amd64", image("linux/amd64")}), map[string]string{"org.example": "1"}).(v1.ImageIndex)
	assert.Equal(t, []string{
		"index:",
		`  + annotations.org.example: "1"`,
		"- linux/s390x",
		"+ linux/arm/v7",
		"linux/arm64: only its entry in the index differs",
		"  entry:",
		`    + platform.variant: "v8"`,
	}, body(t, diff(t, a, b)))

	turned := indexOf(t, child{"linux/s390x", image("linux/s390x")}, child{"linux/amd64", image("linux/amd64")}, child{"linux/arm64", image("linux/arm64")})
	assert.Equal(t, []string{"the children are in another order"}, body(t, diff(t, a, turned)))

	list := mutate.IndexMediaType(a, types.DockerManifestList)
	assert.Equal(t, []string{
		"index:",
		`  ~ mediaType: "application/vnd.oci.image.index.v1+json" -> "application/vnd.docker.distribution.manifest.list.v2+json"`,
	}, body(t, diff(t, a, list)))

	assert.Equal(t, []string{
		"index:",
		`  ~ mediaType: "application/vnd.oci.image.index.v1+json" -> "application/vnd.oci.image.manifest.v1+json"`,
		"- linux/amd64",
		"- linux/s390x",
	}, body(t, diff(t, a, image("linux/arm64"))))

	assert.Equal(t, []string{
		"linux/amd64 and linux/arm64: sha256:... -> sha256:...",
		"  config:",
		`    ~ architecture: "amd64" -> "arm64"`,
	}, body(t, diff(t, image("linux/amd64"), image("linux/arm64"))))

	annotated := mutate.Annotations(image("linux/amd64"), map[string]string{"x": "1"}).(v1.Image)
	assert.Equal(t, []string{
		"linux/amd64: sha256:... -> sha256:...",
		"  manifest:",
		`    + annotations.x: "1"`,
	}, body(t, diff(t, image("linux/amd64"), annotated)))

	assert.Equal(t, []string{
		"linux/amd64: sha256:... -> sha256:...",
		"  the manifests say the same and are written differently",
	}, body(t, diff(t, image("linux/amd64"), indented{image("linux/amd64")})))
}

func TestDiffOfFiles(t *testing.T) {
	changed := func(change func(*tar.Header)) file { return file{name: "z", text: "z", header: change} }
	for name, c := range map[string]struct {
		a, b []file
		want []string
	}{
		"content":  {[]file{{name: "a", text: "1"}}, []file{{name: "a", text: "2"}}, []string{"~ /a: content sha256:... -> sha256:..."}},
		"size":     {[]file{{name: "a", text: "1"}}, []file{{name: "a", text: ""}}, []string{"~ /a: size 1 -> 0, content sha256:... -> sha256:..."}},
		"mode":     {[]file{{name: "a"}}, []file{{name: "a", mode: 0o4755}}, []string{"~ /a: mode 0644 -> 4755"}},
		"added":    {[]file{{name: "a"}}, []file{{name: "a"}, {name: "b"}, {name: "c"}}, []string{"+ /b", "+ /c"}},
		"removed":  {[]file{{name: "a"}, {name: "b"}}, []file{{name: "b"}}, []string{"- /a"}},
		"type":     {[]file{{name: "a/"}}, []file{{name: "a", link: "b"}}, []string{"~ /a: type directory -> symbolic link, link none -> b"}},
		"link":     {[]file{{name: "a", link: "b"}}, []file{{name: "a", link: "c"}}, []string{"~ /a: link b -> c"}},
		"owner":    {[]file{changed(nil)}, []file{changed(func(h *tar.Header) { h.Uid, h.Gname = 5, "staff" })}, []string{"~ /z: owner 0:0 -> 5:0, owner name none -> :staff"}},
		"mtime":    {[]file{changed(nil)}, []file{changed(func(h *tar.Header) { h.ModTime = time.Unix(1e9, 0) })}, []string{"~ /z: mtime 1970-01-01T00:00:00Z -> 2001-09-09T01:46:40Z"}},
		"extended": {[]file{changed(nil)}, []file{changed(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "1"} })}, []string{"~ /z: extended none -> SCHILY.xattr.user.a=1"}},
		"order":    {[]file{{name: "a"}, {name: "b"}}, []file{{name: "b"}, {name: "a"}}, []string{"the files are the same, and stand in another order or under names that are written differently"}},
		"form":     {[]file{{name: "a"}}, []file{{name: "a", header: func(h *tar.Header) { h.Format = tar.FormatGNU }}}, []string{"the files are the same, and the tar archive is written differently"}},
	} {
		a, b := text(t, "linux/amd64", nil, []file{{name: "base"}}, c.a), text(t, "linux/amd64", nil, []file{{name: "base"}}, c.b)
		got := body(t, diff(t, indexOf(t, child{"linux/amd64", a}), indexOf(t, child{"linux/amd64", b})))
		want := []string{"linux/amd64: sha256:... -> sha256:...", "  layer 2 changed: sha256:... (SIZE, uncompressed) -> sha256:... (SIZE, uncompressed)"}
		for _, w := range c.want {
			want = append(want, "    "+w)
		}
		got[1] = kilobytes.ReplaceAllString(got[1], "SIZE")
		assert.Equal(t, want, got, name)
	}
}

func TestDiffOfLayers(t *testing.T) {
	one, two, three, four := []file{{name: "1"}}, []file{{name: "2"}}, []file{{name: "3"}}, []file{{name: "4"}}
	for name, c := range map[string]struct {
		a, b [][]file
		want []string
	}{
		"added":   {[][]file{one, two}, [][]file{one, three, two}, []string{"layer 2 added: sha256:..."}},
		"removed": {[][]file{one, two, three}, [][]file{one, three}, []string{"layer 2 removed: sha256:..."}},
		"changed": {[][]file{one, two, three}, [][]file{one, four, three}, []string{"layer 2 changed: sha256:... -> sha256:...", "- /2", "+ /4"}},
		"moved":   {[][]file{one, two, three}, [][]file{two, three, one}, []string{"layer 1 moved to 3: sha256:... -> sha256:..."}},
		"changed and added": {[][]file{one, two}, [][]file{three, four, two},
			[]string{"layer 1 changed: sha256:... -> sha256:...", "- /1", "+ /3", "layer 2 added: sha256:..."}},
	} {
		a, b := text(t, "linux/amd64", nil, c.a...), text(t, "linux/amd64", nil, c.b...)
		var got []string
		for _, row := range body(t, diff(t, a, b))[1:] {
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
	content := tarOf(t, file{name: "a", text: strings.Repeat("a", 10_000)})
	diffID, _, err := v1.SHA256(bytes.NewReader(content))
	require.NoError(t, err)
	packed := func(level int) v1.Image {
		var out bytes.Buffer
		w, err := gzip.NewWriterLevel(&out, level)
		require.NoError(t, err)
		_, err = w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return imageOf(t, "linux/amd64", nil, stored{static.NewLayer(out.Bytes(), types.OCILayer), diffID})
	}
	got := body(t, diff(t, packed(1), packed(9)))
	require.Len(t, got, 2)
	assert.Regexp(t, `^  layer 1 recompressed: sha256:\.\.\. \(\d+B, gzip\) -> sha256:\.\.\. \(\d+B, gzip\)$`, got[1])

	plain := imageOf(t, "linux/amd64", nil, static.NewLayer(content, types.OCIUncompressedLayer))
	got = body(t, diff(t, packed(1), plain))
	require.Len(t, got, 4)
	assert.Equal(t, `    ~ layers[0].mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" -> "application/vnd.oci.image.layer.v1.tar"`, got[2])
	assert.Contains(t, got[3], "layer 1 recompressed: ")
}

func TestDiffReadsOnlyLayersThatDifferAndThoseOnce(t *testing.T) {
	reads := map[string]int{}
	host := serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			mu.Lock()
			reads[filepath.Base(r.URL.Path)]++
			mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
	layers := [][]file{{{name: "same"}}, {{name: "differs", text: "a"}}}
	other := [][]file{{{name: "same"}}, {{name: "differs", text: "b"}}}
	index := func(layers [][]file) v1.ImageIndex {
		var children []child
		for _, p := range []string{"linux/amd64", "linux/arm64", "linux/s390x"} {
			children = append(children, child{p, text(t, p, nil, layers...)})
		}
		return indexOf(t, children...)
	}
	push(t, host+"/a", index(layers))
	push(t, host+"/b", index(other))
	reads = map[string]int{}
	d, err := inspect.Diff(t.Context(), open(t, host+"/a"), open(t, host+"/b"))
	require.NoError(t, err)
	assert.Len(t, d.Children, 3)
	assert.Len(t, reads, 6+2, "six configs and the two layers that differ")
	for digest, n := range reads {
		assert.Equal(t, 1, n, digest)
	}
}

func TestDiffJSON(t *testing.T) {
	a, b := text(t, "linux/amd64", nil, []file{{name: "a"}}), text(t, "linux/amd64", nil, []file{{name: "b"}}, []file{{name: "c"}})
	d := diff(t, a, b)
	raw, err := json.Marshal(d)
	require.NoError(t, err)
	var back inspect.Difference
	require.NoError(t, json.Unmarshal(raw, &back))
	assert.Equal(t, *d, back)
	var document map[string]any
	require.NoError(t, json.Unmarshal(raw, &document))
	assert.ElementsMatch(t, []string{"a", "b", "children"}, keys(document))
	one := document["children"].([]any)[0].(map[string]any)
	assert.ElementsMatch(t, []string{"child", "a", "b", "config", "layers"}, keys(one))
	assert.Equal(t, "changed", one["layers"].([]any)[0].(map[string]any)["kind"])
	assert.Equal(t, "added", one["layers"].([]any)[1].(map[string]any)["kind"])
}

func TestDiffOfWhatIsDamaged(t *testing.T) {
	a, b := text(t, "linux/amd64", nil, []file{{name: "a"}}), text(t, "linux/amd64", nil, []file{{name: "b"}})
	left, right := writeLayout(t, a), writeLayout(t, b)
	layers, err := b.Layers()
	require.NoError(t, err)
	h, err := layers[0].Digest()
	require.NoError(t, err)
	blob := blobFile(right, h.String())
	for _, damage := range []func() error{
		func() error { return os.Truncate(blob, 600) },
		func() error { return os.Remove(blob) },
	} {
		require.NoError(t, damage())
		_, err = inspect.Diff(t.Context(), open(t, "oci:"+left), open(t, "oci:"+right))
		require.ErrorContains(t, err, fmt.Sprintf("oci:%s: layer 1 (%s): ", right, h))
	}
}
