package inspect_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/inspect"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// names opens everything that ref names and returns what the sources are called, without the folder.
func names(t *testing.T, ref, folder string) []string {
	t.Helper()
	all, err := inspect.OpenAll(t.Context(), registry.Client{}, ref)
	require.NoError(t, err)
	var names []string
	for _, s := range all {
		names = append(names, strings.ReplaceAll(s.Name, folder, ""))
		v, err := inspect.Verify(t.Context(), s)
		require.NoError(t, err)
		assert.Empty(t, lines(v.Problems))
		require.NoError(t, s.Close())
		again, err := inspect.Open(t.Context(), registry.Client{}, s.Name)
		require.NoError(t, err, "its name is a reference")
		assert.Equal(t, s.Root.Digest, again.Root.Digest)
		require.NoError(t, again.Close())
	}
	return names
}

func called(names ...string) []layout.Option {
	keys := []string{"org.opencontainers.image.ref.name", "io.containerd.image.name"}
	annotations := map[string]string{}
	for i, n := range names {
		annotations[keys[i]] = n
	}
	return []layout.Option{layout.WithAnnotations(annotations)}
}

// addEntries adds entries, as JSON, to the index.json of a layout.
func addEntries(t *testing.T, dir string, entries ...string) {
	t.Helper()
	file := filepath.Join(dir, "index.json")
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var index map[string]any
	require.NoError(t, json.Unmarshal(raw, &index))
	for _, e := range entries {
		var entry any
		require.NoError(t, json.Unmarshal([]byte(e), &entry))
		index["manifests"] = append(index["manifests"].([]any), entry)
	}
	raw, err = json.Marshal(index)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, raw, 0o644))
}

// Entries that other tools write and that are no images; one of them has a digest of an unknown algorithm.
var foreignEntries = []string{
	`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("a", 64) + `","size":7,"artifactType":"application/vnd.example.sbom"}`,
	`{"mediaType":"text/plain","digest":"sha256:` + strings.Repeat("b", 64) + `","size":7}`,
	`{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"blake3:` + strings.Repeat("c", 64) + `","size":7}`,
}

func TestOpenAllImagesOfALayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	l, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	first, second := hello(t, "linux/amd64"), hello(t, "linux/arm64")
	digest := func(i v1.Image) string { h, err := i.Digest(); require.NoError(t, err); return h.String() }

	// One image under several names is one image, and what is no image is not meant.
	require.NoError(t, l.AppendImage(first))
	require.NoError(t, l.AppendImage(first, called("one", "example.com/one:latest")...))
	require.NoError(t, l.AppendImage(first, called("one", "example.com/one:v1")...))
	before, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	addEntries(t, dir, foreignEntries...)
	for _, form := range []string{"oci:" + dir, "oci-archive:" + tarDir(t, dir), tarDir(t, dir)} {
		s := open(t, form)
		assert.Equal(t, digest(first), s.Root.Digest.String(), form)
		assert.Equal(t, []string{form}, names(t, form, "\x00"))
	}
	for _, name := range []string{"one", "example.com/one:latest", "example.com/one:v1", digest(first)} {
		assert.Equal(t, digest(first), open(t, "oci:"+dir+":"+name).Root.Digest.String())
	}

	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), before, 0o644))
	require.NoError(t, l.AppendImage(second))
	require.NoError(t, l.AppendIndex(goodIndex(t, "linux/s390x"), called("z")...))
	addEntries(t, dir, foreignEntries...)
	all := []string{":one", ":" + digest(second), ":z"}
	archive := tarDir(t, dir)
	for form, place := range map[string]string{"oci:" + dir: dir, "oci-archive:" + archive: archive, archive: archive} {
		got := names(t, form, place)
		for i := range got {
			got[i] = strings.TrimPrefix(strings.TrimPrefix(got[i], "oci"), "-archive:")
		}
		want := all
		if form == "oci:"+dir {
			want = []string{":" + all[0], ":" + all[1], ":" + all[2]}
		}
		assert.Equal(t, want, got)
		_, err := inspect.Open(t.Context(), registry.Client{}, form)
		var entry *inspect.EntryError
		require.ErrorAs(t, err, &entry)
		assert.Equal(t, []string{"one", digest(second), "z"}, entry.Known)
	}
	_, err = inspect.OpenAll(t.Context(), registry.Client{}, "oci:"+dir+":blake3:"+strings.Repeat("c", 64))
	require.ErrorContains(t, err, "reading its entry in index.json")
}

func TestOpenAllImagesOfADockerArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docker.tar")
	images := map[name.Reference]v1.Image{}
	for _, p := range []string{"linux/amd64", "linux/arm64"} {
		tag, err := name.NewTag("example.com/hello:" + filepath.Base(p))
		require.NoError(t, err)
		images[tag] = hello(t, p)
	}
	unnamed, err := name.NewDigest("example.com/hello@sha256:" + strings.Repeat("a", 64))
	require.NoError(t, err)
	images[unnamed] = hello(t, "linux/s390x")
	require.NoError(t, tarball.MultiRefWriteToFile(file, images))
	id, err := images[unnamed].ConfigName()
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{
		"docker-archive::example.com/hello:amd64", "docker-archive::example.com/hello:arm64", "docker-archive::" + id.String(),
	}, names(t, file, file))
}

func TestOpenReadsCompressedArchives(t *testing.T) {
	index := goodIndex(t, "linux/amd64", "linux/arm64")
	want, err := index.Digest()
	require.NoError(t, err)
	raw, err := os.ReadFile(tarDir(t, writeLayout(t, index)))
	require.NoError(t, err)
	dir := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(dir, "spool"))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "spool"), 0o755))
	compress := map[string]func(io.Writer) io.WriteCloser{
		"a.tar.gz":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"b.tgz":     func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"c.tar":     func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, // what counts is the content
		"d.tar.zst": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	}
	for file, by := range compress {
		var packed bytes.Buffer
		w := by(&packed)
		_, err := w.Write(raw)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), packed.Bytes(), 0o644))
		for _, ref := range []string{filepath.Join(dir, file), "oci-archive:" + filepath.Join(dir, file) + ":hello"} {
			s := open(t, ref)
			assert.Equal(t, want, s.Root.Digest, ref)
			v, err := inspect.Verify(t.Context(), s)
			require.NoError(t, err)
			assert.Empty(t, lines(v.Problems))
			require.NoError(t, s.Close())
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), packed.Bytes()[:packed.Len()/2], 0o644))
		_, err = inspect.Open(t.Context(), registry.Client{}, filepath.Join(dir, file))
		require.ErrorContains(t, err, "decompressing "+filepath.Join(dir, file))
	}
	left, err := os.ReadDir(filepath.Join(dir, "spool"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// docker save lists all platforms of an image, and has one of them.
func TestReportOfASparseIndex(t *testing.T) {
	dir := writeLayout(t, goodIndex(t, "linux/amd64", "linux/arm64"))
	whole, err := inspect.NewReport(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	gone := whole.Children[1].Digest
	require.NoError(t, os.Remove(filepath.Join(dir, "blobs", "sha256", gone.Hex)))
	report, err := inspect.NewReport(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.True(t, report.Children[1].Missing)
	assert.Equal(t, 1, report.Totals.Platforms)
	assert.Equal(t, whole.Children[0].Size, report.Totals.Bytes)
	var table bytes.Buffer
	require.NoError(t, report.Table(&table))
	assert.Regexp(t, `linux/arm64 +`+gone.String()+` +missing`, table.String())
	v, err := inspect.Verify(t.Context(), open(t, "oci:"+dir))
	require.NoError(t, err)
	assert.NotEmpty(t, v.Problems)
}
