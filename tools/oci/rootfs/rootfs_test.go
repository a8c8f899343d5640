package rootfs_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

func dir(name string, mode int64, uid int) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode, Uid: uid, Gid: uid, ModTime: time.Unix(1000, 0)}
}
func file(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
func link(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
}
func hard(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
}

func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		require.NoError(t, w.WriteHeader(&h))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// lstat describes what is at a path.
func lstat(t *rootfs.Tree, p string) string {
	switch n := t.Lstat(p); {
	case n == nil:
		return "-"
	case n.Kind == rootfs.Dir:
		return fmt.Sprintf("dir %o %d", n.Mode, n.UID)
	case n.Kind == rootfs.Symlink:
		return "-> " + n.Link
	}
	return "other"
}

func TestApply(t *testing.T) {
	cases := 0
	for name, c := range map[string]struct {
		layers [][]tar.Header
		want   map[string]string
	}{
		"one layer": {
			[][]tar.Header{
				{dir("./a/", 0o700, 5), link("b", "a"), file("a/f"), hard("g", "a/f"), hard("h", "b"), dir("./", 0o711, 1)},
			},
			map[string]string{
				"/":    "dir 711 1",
				"/a":   "dir 700 5",
				"/b":   "-> a",
				"/a/f": "other",
				"/g":   "other",
				"/h":   "-> a",
				"/no":  "-",
			},
		},
		"implied parents": {[][]tar.Header{{file("x/y/z")}}, map[string]string{"/x": "dir 755 0", "/x/y": "dir 755 0"}},
		"a directory twice": {[][]tar.Header{{dir("a", 0o700, 5), file("a/f")}, {dir("a", 0o755, 6)}},
			map[string]string{"/a": "dir 755 6", "/a/f": "other"}},
		"a whiteout": {
			[][]tar.Header{
				{dir("a", 0o700, 5), file("a/f"), dir("a/d", 0o755, 0), file("a/d/x")},
				{file("a/.wh.f"), file("a/.wh.d"), file(".wh.never")},
			},
			map[string]string{"/a": "dir 700 5", "/a/f": "-", "/a/d": "-"},
		},
		"a whiteout is about lower layers": {
			[][]tar.Header{{dir("a", 0o700, 5), file("a/old")}, {dir("a", 0o750, 6), file("a/new"), file(".wh.a")}},
			map[string]string{"/a": "dir 750 6", "/a/old": "-", "/a/new": "other"},
		},
		"an opaque directory": {
			[][]tar.Header{{dir("a", 0o700, 5), file("a/old"), dir("a/sub", 0o700, 7)}, {file("a/new"), file("a/.wh..wh..opq")}},
			map[string]string{"/a": "dir 700 5", "/a/old": "-", "/a/sub": "-", "/a/new": "other"},
		},
		"an opaque root": {
			[][]tar.Header{{file("old")}, {file("new"), file(".wh..wh..opq")}},
			map[string]string{"/old": "-", "/new": "other"},
		},
		"an opaque link": {[][]tar.Header{{dir("d", 0o700, 5), file("d/old"), link("l", "d")}, {file("l/.wh..wh..opq")}},
			map[string]string{"/l": "-> d", "/d": "dir 700 5", "/d/old": "-"}},
		"notes of aufs": {
			[][]tar.Header{{file(".wh..wh.aufs"), dir(".wh..wh.plnk", 0o700, 0), file("a/.wh.."), file("a/.wh.")}},
			map[string]string{"/.wh..wh.aufs": "-", "/.wh..wh.plnk": "-", "/a": "-"},
		},
		"a link in place of a directory": {
			[][]tar.Header{{dir("a", 0o700, 5), file("a/f")}, {link("a", "b")}},
			map[string]string{"/a": "-> b", "/a/f": "-"},
		},
		"a directory in place of a link": {[][]tar.Header{{dir("b", 0o700, 5), link("a", "b")}, {dir("a", 0o755, 0)}},
			map[string]string{"/a": "dir 755 0", "/b": "dir 700 5"}},
		"a file in place of a directory": {
			[][]tar.Header{{dir("a/b", 0o700, 5)}, {file("a")}},
			map[string]string{"/a": "other", "/a/b": "-"},
		},
		"through a link": {
			[][]tar.Header{{dir("usr/lib", 0o755, 0), link("lib", "usr/lib")}, {dir("lib/x", 0o700, 5)}},
			map[string]string{"/lib": "-> usr/lib", "/usr/lib/x": "dir 700 5"},
		},
		"a whiteout through a link": {
			[][]tar.Header{{file("usr/lib/x"), link("lib", "usr/lib")}, {file("lib/.wh.x")}},
			map[string]string{"/lib": "-> usr/lib", "/usr/lib/x": "-", "/usr/lib": "dir 755 0"},
		},
		"a hard link to a lower layer": {
			[][]tar.Header{{link("l", "x")}, {hard("m", "l")}, {hard("n", "gone")}},
			map[string]string{"/m": "-> x", "/n": "other"},
		},
		"out of the root": {
			[][]tar.Header{{dir("../../a", 0o700, 5), file("/b/../../c")}},
			map[string]string{"/a": "dir 700 5", "/c": "other"},
		},
		"below a file": {
			[][]tar.Header{{file("a")}, {file("a/b")}},
			map[string]string{"/a": "dir 755 0", "/a/b": "other"},
		},
		"names that are not UTF-8": {
			[][]tar.Header{{dir("\xff", 0o700, 5), dir("\xfe", 0o711, 6), link("\xfd", "\xff")}},
			map[string]string{"/\xff": "dir 700 5", "/\xfe": "dir 711 6", "/\xfd": "-> \xff"},
		},
	} {
		cases++
		t.Run(name, func(t *testing.T) {
			tree := rootfs.New()
			for _, l := range c.layers {
				require.NoError(t, tree.Apply(bytes.NewReader(archive(t, l...))))
			}
			content, err := json.Marshal(tree)
			require.NoError(t, err)
			var again rootfs.Tree
			require.NoError(t, json.Unmarshal(content, &again))
			twice, err := json.Marshal(&again)
			require.NoError(t, err)
			assert.Equal(t, string(content), string(twice))
			for p, want := range c.want {
				assert.Equal(t, want, lstat(tree, p), p)
				assert.Equal(t, want, lstat(&again, p), p)
				assert.Equal(t, want, lstat(tree.Clone(), p), p)
			}
		})
	}
	t.Logf("%d cases", cases)
}

func TestAttributesAreKept(t *testing.T) {
	h := dir("a", 0o3770, 70000)
	h.ModTime, h.Format = time.Unix(-5, 123), tar.FormatPAX
	h.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "\xff\x00", "SCHILY.xattr.trusted.y": "z", "comment": "no"}
	tree := rootfs.New()
	require.NoError(t, tree.Apply(bytes.NewReader(archive(t, h))))
	content, err := json.Marshal(tree)
	require.NoError(t, err)
	var again rootfs.Tree
	require.NoError(t, json.Unmarshal(content, &again))
	n := again.Lstat("/a")
	assert.Equal(t, uint32(0o3770), n.Mode)
	assert.True(t, time.Unix(-5, 123).Equal(n.ModTime))
	assert.Equal(t, map[string]string{"user.x": "\xff\x00", "trusted.y": "z"}, n.Xattrs)
}

func TestCompressions(t *testing.T) {
	plain := archive(t, dir("a", 0o700, 5))
	var gz, zst bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	z, err := zstd.NewWriter(&zst)
	require.NoError(t, err)
	_, err = z.Write(plain)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for name, content := range map[string][]byte{"none": plain, "gzip": gz.Bytes(), "zstd": zst.Bytes()} {
		tree := rootfs.New()
		r := bytes.NewReader(content)
		require.NoError(t, tree.Apply(r), name)
		assert.Equal(t, "dir 700 5", lstat(tree, "/a"), name)
		assert.Zero(t, r.Len(), "all of it is read")
	}
	assert.NoError(t, rootfs.New().Apply(strings.NewReader("")), "an empty layer")
	assert.Error(t, rootfs.New().Apply(strings.NewReader("no tar")))
	assert.Error(t, rootfs.New().Apply(bytes.NewReader(gz.Bytes()[:gz.Len()-4])), "cut off")
	long := tar.Header{Name: strings.Repeat("a/", 3000), Typeflag: tar.TypeDir, Format: tar.FormatPAX}
	assert.ErrorContains(t, rootfs.New().Apply(bytes.NewReader(archive(t, long))), "bytes long")
}

func TestOwner(t *testing.T) {
	tree := rootfs.New()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbroken\nme:x:1000:50::/:\nbad:x:a:b::/:\n",
		"etc/group":  "root:x:0:\nstaff:x:50:me\nbad:x:y:\n",
	} {
		h := file(name)
		h.Size = int64(len(content))
		require.NoError(t, w.WriteHeader(&h))
		_, err := io.WriteString(w, content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, tree.Apply(&out))
	for user, want := range map[string]string{
		"root": "0:0 true", "me": "1000:50 true", "1000": "1000:50 true", "1000:7": "1000:7 true", "me:staff": "1000:50 true",
		"me:0": "1000:0 true", "65532": "65532:65532 true", "7:staff": "7:50 true",
		"you": "false", "me:nothing": "false", "": "false", "bad": "false", "me:bad": "false", "-1": "false",
		"99999999999": "false",
	} {
		uid, gid, ok := tree.Owner(user)
		got := "false"
		if ok {
			got = fmt.Sprintf("%d:%d true", uid, gid)
		}
		assert.Equal(t, want, got, user)
	}
	uid, gid, ok := (*rootfs.Tree)(nil).Owner("7")
	assert.Equal(t, []any{7, 7, true}, []any{uid, gid, ok})
}

func FuzzApply(f *testing.F) {
	f.Add(archive(f, dir("a", 0o700, 5), link("b", "../a"), hard("c", "b"), file("b/.wh.x"), file("b/.wh..wh..opq")))
	f.Add(archive(f, link("l", "l"), file("l/x"), file("a/../..")))
	f.Fuzz(func(t *testing.T, layer []byte) {
		tree := rootfs.New()
		for range 2 {
			_ = tree.Apply(bytes.NewReader(layer))
		}
		content, err := json.Marshal(tree)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, rootfs.New()))
		for _, p := range []string{"/a/b", "/l/x", "/b/c/d"} {
			if resolved, node, err := tree.Resolve(p, false); err == nil && node != nil {
				require.Equal(t, node, tree.Lstat(resolved))
			}
		}
	})
}
