package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// archiveOf writes a tar archive. Headers without a size get the content "x".
func archiveOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte("x"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(content)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

func TestTarLayers(t *testing.T) {
	w := newActionDir(t)
	plain := archiveOf(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o700},
		tar.Header{Name: "./z/file", Typeflag: tar.TypeReg, Mode: 0o600, Uid: 7, Uname: "alice"},
		tar.Header{Name: "z/", Typeflag: tar.TypeDir, Mode: 0o750, Gid: 8},
		tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o4755},
		tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "./z/file"},
		tar.Header{Name: "soft", Typeflag: tar.TypeSymlink, Linkname: "z/file"},
	)
	args := []string{"layer", "-content", "files", "-blob", "blob", "-descriptor", "blob.json", "-tree", "tree"}
	w.write("plain.tar", string(plain))
	w.write("zipped.tar.gz", string(gzipped(t, plain)))
	w.must(with(args, "-tar", "plain.tar")...)
	assert.Equal(t, []string{"/a 4755", "/hard 0600", "/z/file 0600"}, w.modes("blob"))
	normal := w.read("blob")
	tree := w.read("tree")
	w.must(with(args, "-tar", "zipped.tar.gz")...)
	assert.Equal(t, normal, w.read("blob"), "compression of the archive")

	w.must(with(args, "-tar", "zipped.tar.gz", "-exact")...)
	assert.Equal(t, w.read("zipped.tar.gz"), w.read("blob"))
	assert.Contains(t, w.read("tree"), `"links":{"soft":"z/file"}`)
	assert.Contains(t, tree, `"links":{"soft":"z/file"}`)
	exact := w.read("blob.json")
	w.must(with(args, "-tar", "plain.tar", "-exact")...)
	z, err := gzip.NewReader(strings.NewReader(w.read("blob")))
	require.NoError(t, err)
	var uncompressed bytes.Buffer
	_, err = uncompressed.ReadFrom(z)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(plain, uncompressed.Bytes()))
	var compressed, copied layerFile
	require.NoError(t, readJSON("blob.json", &compressed))
	w.write("exact.json", exact)
	require.NoError(t, readJSON("exact.json", &copied))
	assert.Equal(t, compressed.DiffID, copied.DiffID)
	assert.Equal(t, []string{"/a", "/hard", "/soft", "/z/file"}, copied.Files)

	left, err := os.ReadDir(".")
	require.NoError(t, err)
	assert.Len(t, left, 7, "temporary files must be removed: %v", left)
}

func TestTarLayerErrors(t *testing.T) {
	for name, c := range map[string]struct {
		header tar.Header
		want   string
	}{
		"device": {tar.Header{Name: "null", Typeflag: tar.TypeChar}, "null is neither a file, a directory nor a link"},
		"link": {
			tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "b"}, "a is a link to b, which is not in the archive",
		},
		"whiteout": {tar.Header{Name: "etc/.wh.a", Typeflag: tar.TypeReg}, "interpret names with the prefix .wh."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			w.write("x.tar", string(archiveOf(t, c.header)))
			code, stderr := w.run("layer", "-image", "x", "-content", "files", "-tar", "x.tar",
				"-blob", "blob", "-descriptor", "d")
			assert.Equal(t, 1, code)
			assert.Contains(t, stderr, c.want)
			assert.NoFileExists(t, "blob")
		})
	}
	w := newActionDir(t)
	code, stderr := w.run("layer", "-content", "files", "-exact", "-blob", "blob", "-descriptor", "d")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "-exact requires -tar")
}

func TestStackReportsConflicts(t *testing.T) {
	w := newActionDir(t)
	layer := func(name string, args ...string) {
		w.must(with([]string{"layer", "-content", "files", "-blob", "blob", "-descriptor", "d", "-tree", name}, args...)...)
	}
	layer("base", `-link={"path":"/bin","to":"usr/bin"}`, entry("etc/a", "/usr/bin/a"))
	layer("good", entry("etc/a", "/usr/bin/b"))
	layer("bad", entry("etc/a", "/bin/b"))
	stack := []string{"stack", "-image", "hello", "-platform", "linux/amd64", "-tree", "out", "-below", "base"}
	w.must(with(stack, "-name", "//p:good", "-layer", "good")...)
	assert.Contains(t, w.read("out"), `"others":["a","b"]`)
	code, stderr := w.run(with(stack, "-name", "//p:good", "-layer", "good", "-name", "//p:bad", "-layer", "bad")...)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "image hello, linux/amd64: layer //p:bad: /bin is a directory")
	assert.Contains(t, stderr, "would replace a link to usr/bin of the layers below")
	assert.Contains(t, stderr, "hint: use the path that the link points to")
}
