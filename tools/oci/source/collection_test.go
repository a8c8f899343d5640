package source_test

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

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// names opens all sources that ref matches and returns their names, without the directory.
func names(t *testing.T, ref, folder string) []string {
	t.Helper()
	all, err := source.OpenAll(t.Context(), registry.Client{}, ref)
	require.NoError(t, err)
	var names []string
	for _, s := range all {
		names = append(names, strings.ReplaceAll(s.Name, folder, ""))
		requireVerified(t, s)
		require.NoError(t, s.Close())
		again, err := source.Open(t.Context(), registry.Client{}, s.Name)
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
	`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("a", 64) +
		`","size":7,"artifactType":"application/vnd.example.sbom"}`,
	`{"mediaType":"text/plain","digest":"sha256:` + strings.Repeat("b", 64) + `","size":7}`,
	`{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"blake3:` + strings.Repeat("c", 64) + `","size":7}`,
}

func TestOpenAllImagesOfALayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	l, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	first, second := sourcetest.Hello(t, "linux/amd64"), sourcetest.Hello(t, "linux/arm64")
	digest := func(i v1.Image) string { h, err := i.Digest(); require.NoError(t, err); return h.String() }

	// An image with several names counts once, and entries that are not images are ignored.
	require.NoError(t, l.AppendImage(first))
	require.NoError(t, l.AppendImage(first, called("one", "example.com/one:latest")...))
	require.NoError(t, l.AppendImage(first, called("one", "example.com/one:v1")...))
	before, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	addEntries(t, dir, foreignEntries...)
	for _, form := range []string{"oci:" + dir, "oci-archive:" + sourcetest.TarDir(t, dir), sourcetest.TarDir(t, dir)} {
		s := sourcetest.Open(t, form)
		assert.Equal(t, digest(first), s.Root.Digest.String(), form)
		assert.Equal(t, []string{form}, names(t, form, "\x00"))
	}
	for _, name := range []string{"one", "example.com/one:latest", "example.com/one:v1", digest(first)} {
		assert.Equal(t, digest(first), sourcetest.Open(t, "oci:"+dir+":"+name).Root.Digest.String())
	}

	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), before, 0o644))
	require.NoError(t, l.AppendImage(second))
	require.NoError(t, l.AppendIndex(sourcetest.HelloIndex(t, "linux/s390x"), called("z")...))
	addEntries(t, dir, foreignEntries...)
	all := []string{":one", ":" + digest(second), ":z"}
	archive := sourcetest.TarDir(t, dir)
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
		_, err := source.Open(t.Context(), registry.Client{}, form)
		var entry *source.EntryError
		require.ErrorAs(t, err, &entry)
		assert.Equal(t, []string{"one", digest(second), "z"}, entry.Known)
	}
	_, err = source.OpenAll(t.Context(), registry.Client{}, "oci:"+dir+":blake3:"+strings.Repeat("c", 64))
	require.ErrorContains(t, err, "reading its entry in index.json")
}

func TestOpenAllImagesOfADockerArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docker.tar")
	images := dockerImages(t)
	unnamed, err := name.NewDigest("example.com/hello@sha256:" + strings.Repeat("a", 64))
	require.NoError(t, err)
	images[unnamed] = sourcetest.Hello(t, "linux/s390x")
	require.NoError(t, tarball.MultiRefWriteToFile(file, images))
	id, err := images[unnamed].ConfigName()
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{
		"docker-archive::example.com/hello:amd64", "docker-archive::example.com/hello:arm64",
		"docker-archive::" + id.String(),
	}, names(t, file, file))
}

func TestOpenReadsCompressedArchives(t *testing.T) {
	index := sourcetest.HelloIndex(t, "linux/amd64", "linux/arm64")
	want, err := index.Digest()
	require.NoError(t, err)
	raw, err := os.ReadFile(sourcetest.TarDir(t, sourcetest.WriteLayout(t, index)))
	require.NoError(t, err)
	dir := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(dir, "spool"))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "spool"), 0o755))
	compress := map[string]func(io.Writer) io.WriteCloser{
		"a.tar.gz":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"b.tgz":     func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"c.tar":     func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, // the content decides, not the name
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
			s := sourcetest.Open(t, ref)
			assert.Equal(t, want, s.Root.Digest, ref)
			requireVerified(t, s)
			require.NoError(t, s.Close())
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), packed.Bytes()[:packed.Len()/2], 0o644))
		_, err = source.Open(t.Context(), registry.Client{}, filepath.Join(dir, file))
		require.ErrorContains(t, err, "decompressing "+filepath.Join(dir, file))
	}
	left, err := os.ReadDir(filepath.Join(dir, "spool"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
