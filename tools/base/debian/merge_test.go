package debian_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// merge merges packages.
func merge(t *testing.T, debs ...debian.Deb) (*debian.Tree, error) {
	t.Helper()
	return debian.Merge(t.Context(), debs, debian.Options{TempDir: t.TempDir()})
}

// merged merges packages and returns their entries by path.
func merged(t *testing.T, o debian.Options, debs ...debian.Deb) map[string]layer.Entry {
	t.Helper()
	o.TempDir = t.TempDir()
	tree, err := debian.Merge(t.Context(), debs, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tree.Close()) })
	out := map[string]layer.Entry{}
	for _, e := range tree.Entries {
		out[e.Path] = e
	}
	assert.Len(t, out, len(tree.Entries))
	byPath := func(a, b layer.Entry) int { return strings.Compare(a.Path, b.Path) }
	assert.True(t, slices.IsSortedFunc(tree.Entries, byPath))
	_, err = layer.Write(t.Context(), io.Discard, tree.Entries, layer.Options{OS: "linux"})
	require.NoError(t, err)
	return out
}

func read(t *testing.T, e layer.Entry) string {
	t.Helper()
	require.Equal(t, layer.File, e.Kind, e.Path)
	r, err := e.Open()
	require.NoError(t, err)
	defer r.Close()
	content, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, sha(content), e.SHA256)
	assert.EqualValues(t, len(content), e.Size)
	return string(content)
}

func TestMergeUnpacksAllCompressions(t *testing.T) {
	for _, ending := range []string{"", ".gz", ".xz", ".zst"} {
		t.Run("tar"+ending, func(t *testing.T) {
			one := debFile(t, "one", "1.0-1", "amd64", "Depends: two\n", ending,
				file{name: "./"}, file{name: "./usr/"}, file{name: "./usr/bin/"},
				file{name: "./usr/bin/one", body: "program", mode: 0o4755, uid: 7},
				file{name: "./usr/bin/uno", kind: '1', link: "./usr/bin/one", mode: 0o4755},
				file{name: "./usr/bin/eins", kind: '2', link: "one"},
				file{name: "./etc/abs", kind: '2', link: "/usr/bin/one"},
				file{name: "./etc/empty"})
			two := debFile(t, "two", "2.0", "all", "", ending,
				file{name: "./usr/"}, file{name: "./usr/share/ü", body: strings.Repeat("x", 100000)})
			got := merged(t, debian.Options{}, debOf("two", "2.0", "all", two), debOf("one", "1.0-1", "amd64", one))

			assert.Equal(t, "program", read(t, got["/usr/bin/one"]))
			assert.EqualValues(t, 0o4755, got["/usr/bin/one"].Mode)
			assert.Equal(t, 7, got["/usr/bin/one"].UID)
			assert.Equal(t, "one 1.0-1: ./usr/bin/one", got["/usr/bin/one"].From)
			assert.Equal(t, "program", read(t, got["/usr/bin/uno"]))
			assert.EqualValues(t, 0o4755, got["/usr/bin/uno"].Mode)
			assert.Equal(t, layer.Entry{
				Path: "/usr/bin/eins", Kind: layer.Symlink, Mode: 0o777, Link: "one", From: "one 1.0-1: ./usr/bin/eins",
			}, got["/usr/bin/eins"])
			assert.Equal(t, "/usr/bin/one", got["/etc/abs"].Link)
			assert.Equal(t, "", read(t, got["/etc/empty"]))
			assert.Len(t, read(t, got["/usr/share/ü"]), 100000)

			assert.Equal(t, "Package: one\nVersion: 1.0-1\nArchitecture: amd64\nDepends: two\n"+
				"Description: a test\n of several\n .\n lines\n", read(t, got["/var/lib/dpkg/status.d/one"]))
			assert.Equal(t, "d41d8cd98f00b204e9800998ecf8427e  x\n", read(t, got["/var/lib/dpkg/status.d/two.md5sums"]))
		})
	}
}

func TestMergeAddsStandardDirectoriesAndLinks(t *testing.T) {
	got := merged(t, debian.Options{})
	for path, mode := range map[string]uint32{
		"/tmp": 0o1777, "/var/tmp": 0o1777, "/run": 0o755, "/run/lock": 0o1777,
		"/srv": 0o755, "/opt": 0o755, "/mnt": 0o755, "/media": 0o755, "/root": 0o700,
		"/home": 0o755, "/proc": 0o755, "/sys": 0o755, "/dev": 0o755, "/etc": 0o755,
	} {
		assert.Equal(t, layer.Dir, got[path].Kind, path)
		assert.Equal(t, mode, got[path].Mode, path)
	}
	for path, link := range map[string]string{
		"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/var/run": "/run", "/var/lock": "/run/lock",
		"/etc/os-release": "../usr/lib/os-release",
	} {
		assert.Equal(t, layer.Symlink, got[path].Kind, path)
		assert.Equal(t, link, got[path].Link, path)
	}
	assert.Contains(t, read(t, got["/usr/lib/os-release"]), "ID=debian\n")
	assert.NotContains(t, got, "/lib64")
	assert.NotContains(t, got, "/etc/passwd")
	assert.NotContains(t, got, "/etc/ssl/certs/ca-certificates.crt")
}

func TestMergeMovesFilesToMergedUsr(t *testing.T) {
	const osRelease = "ID=debian\nVERSION_ID=12\n"
	unmerged := newDeb(t, "libc6", "2.36", "amd64",
		file{name: "./bin/"}, file{name: "./bin/sh", body: "shell", mode: 0o755},
		file{name: "./lib/"}, file{name: "./lib/x86_64-linux-gnu/"},
		file{name: "./lib/x86_64-linux-gnu/libc.so.6", body: "libc"},
		file{name: "./lib/x86_64-linux-gnu/libhard.so", kind: '1', link: "./lib/x86_64-linux-gnu/libc.so.6"},
		file{name: "./lib64/"}, file{name: "./lib64/ld.so", kind: '2', link: "/lib/x86_64-linux-gnu/ld.so"},
		file{name: "./usr/lib/os-release", body: osRelease},
		file{name: "./var/run/"}, file{name: "./var/run/thing/", mode: 0o700}, file{name: "./var/lock/", mode: 0o1777})
	usrMerged := newDeb(t, "libc6", "2.36", "amd64",
		file{name: "usr/bin/sh", body: "shell", mode: 0o755},
		file{name: "usr/lib/x86_64-linux-gnu/libc.so.6", body: "libc"},
		file{name: "usr/lib/x86_64-linux-gnu/libhard.so", body: "libc"},
		file{name: "usr/lib64/ld.so", body: "loader"},
		file{name: "usr/lib/os-release", body: osRelease},
		file{name: "./run/thing/", mode: 0o700})
	links := newDeb(t, "base-files", "13", "amd64",
		file{name: "./usr/bin/", mode: 0o711},
		file{name: "./bin", kind: '2', link: "usr/bin"}, file{name: "./lib", kind: '2', link: "/usr/lib"},
		file{name: "./lib64", kind: '2', link: "usr/lib64"},
		file{name: "./etc/os-release", kind: '2', link: "../usr/lib/os-release"})
	for name, debs := range map[string][]debian.Deb{
		"no package has links":        {unmerged},
		"the first package has links": {links, unmerged},
		"the last package has links":  {unmerged, links},
		"all packages are merged":     {usrMerged},
	} {
		t.Run(name, func(t *testing.T) {
			got := merged(t, debian.Options{}, debs...)
			for _, link := range []string{"bin", "lib", "lib64", "sbin"} {
				assert.Equal(t, layer.Symlink, got["/"+link].Kind, link)
				assert.Equal(t, "usr/"+link, strings.TrimPrefix(got["/"+link].Link, "/"))
			}
			assert.Equal(t, "shell", read(t, got["/usr/bin/sh"]))
			assert.Equal(t, "libc", read(t, got["/usr/lib/x86_64-linux-gnu/libc.so.6"]))
			assert.Equal(t, "libc", read(t, got["/usr/lib/x86_64-linux-gnu/libhard.so"]))
			assert.Contains(t, got, "/usr/lib64/ld.so")
			assert.EqualValues(t, 0o700, got["/run/thing"].Mode)
			assert.Equal(t, "/run", got["/var/run"].Link)
			assert.Equal(t, "/run/lock", got["/var/lock"].Link)
			assert.Contains(t, read(t, got["/usr/lib/os-release"]), "VERSION_ID=12")
			assert.NotContains(t, got, "/lib32")
			for path := range got {
				for _, moved := range []string{"/bin/", "/lib/", "/lib64/", "/var/run/"} {
					assert.False(t, strings.HasPrefix(path, moved), path)
				}
			}
		})
	}
	t.Run("modes of base-files take precedence", func(t *testing.T) {
		got := merged(t, debian.Options{}, unmerged, links)
		assert.EqualValues(t, 0o711, got["/usr/bin"].Mode)
	})
}

func TestMergeImitatesScripts(t *testing.T) {
	certificates := newDeb(t, "ca-certificates", "2025", "all",
		file{name: "./usr/share/ca-certificates/mozilla/B.crt", body: "B\n"},
		file{name: "./usr/share/ca-certificates/mozilla/A.crt", body: "A"},
		file{name: "./usr/share/ca-certificates/mozilla/Főtanúsítvány.crt", body: "C\n"},
		file{name: "./usr/share/ca-certificates/mozilla/README", body: "none\n"},
		file{name: "./usr/share/ca-certificates/mozilla/link.crt", kind: '2', link: "A.crt"})
	passwd := newDeb(t, "base-passwd", "3.6", "amd64",
		file{name: "./usr/share/base-passwd/passwd.master", body: "root:*:0:0:root:/root:/bin/bash\n"},
		file{name: "./usr/share/base-passwd/group.master", body: "root:*:0:"})
	got := merged(t, debian.Options{Slim: true}, certificates, passwd)
	assert.Equal(t, "A\nB\nC\n", read(t, got["/etc/ssl/certs/ca-certificates.crt"]))
	assert.Equal(t, "ca-certificates 2025: created in place of its scripts",
		got["/etc/ssl/certs/ca-certificates.crt"].From)
	assert.Equal(t, "/etc/ssl/certs/ca-certificates.crt", got["/usr/lib/ssl/cert.pem"].Link)
	assert.Equal(t, "root:*:0:0:root:/root:/bin/bash\n"+
		"nonroot:x:65532:65532:nonroot:/home/nonroot:/usr/sbin/nologin\n", read(t, got["/etc/passwd"]))
	assert.Equal(t, "root:*:0:\nnonroot:x:65532:\n", read(t, got["/etc/group"]))
	assert.Equal(t, layer.Dir, got["/home/nonroot"].Kind)
	assert.Equal(t, []int{65532, 65532}, []int{got["/home/nonroot"].UID, got["/home/nonroot"].GID})

	t.Run("keeps files of packages", func(t *testing.T) {
		d := newDeb(t, "base-passwd", "3.6", "amd64",
			file{name: "./usr/share/base-passwd/passwd.master", body: "x"},
			file{name: "./usr/share/base-passwd/group.master", body: "x"}, file{name: "./etc/passwd", body: "own"})
		assert.Equal(t, "own", read(t, merged(t, debian.Options{}, d)["/etc/passwd"]))
	})
	t.Run("missing group.master", func(t *testing.T) {
		_, err := merge(t, newDeb(t, "base-passwd", "3.6", "amd64",
			file{name: "./usr/share/base-passwd/passwd.master", body: "x"}))
		assert.ErrorContains(t, err, "group.master")
	})
}

func TestSlimKeepsLicences(t *testing.T) {
	kept := []string{
		"/usr/share/doc/x/copyright", "/usr/share/doc/x/examples/copyright", "/usr/share/common-licenses/GPL",
		"/usr/share/locale/locale.alias", "/usr/share/localexyz", "/usr/share/documents", "/etc/ld.so.conf",
		"/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
		"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
		"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/extra.conf",
	}
	omitted := []string{
		"/usr/share/doc/x/changelog.gz", "/usr/share/man/man1/x.1.gz", "/usr/share/info/x.info",
		"/usr/share/lintian/overrides/x", "/usr/share/bug/x", "/usr/share/locale/de/x.mo",
		"/usr/lib/x86_64-linux-gnu/gconv/EUC-JP.so", "/usr/lib/gconv/BIG5.so",
	}
	files := []file{{name: "./usr/share/man/"}, {name: "./usr/share/doc/"}, {name: "./usr/share/doc/x/"},
		{name: "./usr/share/doc/libx", kind: '2', link: "x"}, {name: "./usr/share/doc/x/FAQ", kind: '2', link: "README"}}
	for _, path := range slices.Concat(kept, omitted) {
		files = append(files, file{name: "." + path, body: path})
	}
	d := newDeb(t, "xx", "1", "all", files...)
	got := merged(t, debian.Options{Slim: true}, d)
	all := merged(t, debian.Options{}, d)
	for _, path := range kept {
		assert.Contains(t, got, path)
		assert.Contains(t, all, path)
	}
	for _, path := range omitted {
		assert.NotContains(t, got, path)
		assert.Contains(t, all, path)
	}
	assert.Contains(t, got, "/usr/share/doc/libx", "links lead to licences")
	assert.NotContains(t, got, "/usr/share/doc/x/FAQ")
	assert.NotContains(t, got, "/usr/share/man")
	assert.Contains(t, all, "/usr/share/man")
	assert.Contains(t, got, "/var/lib/dpkg/status.d/xx")
}

func TestMergeRemovesTemporaryFile(t *testing.T) {
	d := newDeb(t, "one", "1", "all", file{name: "./usr/x", body: "x"})
	dir := t.TempDir()
	tree, err := debian.Merge(t.Context(), []debian.Deb{d}, debian.Options{TempDir: dir})
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left, "an open file must be removed already")
	}
	require.NoError(t, tree.Close())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
	at := slices.IndexFunc(tree.Entries, func(e layer.Entry) bool { return e.Path == "/usr/x" })
	r, err := tree.Entries[at].Open()
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	assert.ErrorIs(t, err, os.ErrClosed)

	_, err = debian.Merge(t.Context(), []debian.Deb{d}, debian.Options{TempDir: filepath.Join(dir, "missing")})
	assert.ErrorIs(t, err, os.ErrNotExist)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = debian.Merge(ctx, []debian.Deb{d}, debian.Options{TempDir: dir})
	assert.ErrorIs(t, err, context.Canceled)
	d.Open = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
	_, err = debian.Merge(t.Context(), []debian.Deb{d}, debian.Options{TempDir: dir})
	assert.ErrorContains(t, err, "opening package one 1: gone")
	left, err = os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestMergeDoesNotDependOnOrder(t *testing.T) {
	var debs []debian.Deb
	for _, name := range []string{"base-files", "aa", "bb", "cc"} {
		debs = append(debs, newDeb(t, name, "1", "all",
			file{name: "./usr/", mode: 0o700 + int64(name[0])%8}, file{name: "./usr/" + name, body: name}))
	}
	keys := map[string]bool{}
	for range 4 {
		debs = append(debs[1:], debs[0])
		tree, err := merge(t, debs...)
		require.NoError(t, err)
		keys[layer.Key(tree.Entries, layer.Options{OS: "linux"})] = true
		require.NoError(t, tree.Close())
	}
	assert.Len(t, keys, 1)
}
