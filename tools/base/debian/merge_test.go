package debian_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
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

// merged merges packages, and returns their entries by path.
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
	assert.True(t, slices.IsSortedFunc(tree.Entries, func(a, b layer.Entry) int { return strings.Compare(a.Path, b.Path) }))
	// A layer can be made of them.
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

func TestMerge(t *testing.T) {
	for _, ending := range []string{"", ".gz", ".xz", ".zst"} {
		t.Run("tar"+ending, func(t *testing.T) {
			one := debFile(t, "one", "1.0-1", "amd64", "Depends: two\n", ending,
				file{name: "./"}, file{name: "./usr/"}, file{name: "./usr/bin/"},
				file{name: "./usr/bin/one", body: "program", mode: 0o4755, uid: 7},
				file{name: "./usr/bin/uno", kind: '1', link: "./usr/bin/one", mode: 0o4755},
				file{name: "./usr/bin/eins", kind: '2', link: "one"},
				file{name: "./etc/abs", kind: '2', link: "/usr/bin/one"},
				file{name: "./etc/empty"})
			two := debFile(t, "two", "2.0", "all", "", ending, file{name: "./usr/"}, file{name: "./usr/share/ü", body: strings.Repeat("x", 100000)})
			got := merged(t, debian.Options{}, debOf("two", "2.0", "all", two), debOf("one", "1.0-1", "amd64", one))

			assert.Equal(t, "program", read(t, got["/usr/bin/one"]))
			assert.EqualValues(t, 0o4755, got["/usr/bin/one"].Mode)
			assert.Equal(t, 7, got["/usr/bin/one"].UID)
			assert.Equal(t, "one 1.0-1: ./usr/bin/one", got["/usr/bin/one"].From)
			assert.Equal(t, "program", read(t, got["/usr/bin/uno"]))
			assert.EqualValues(t, 0o4755, got["/usr/bin/uno"].Mode)
			assert.Equal(t, layer.Entry{Path: "/usr/bin/eins", Kind: layer.Symlink, Mode: 0o777, Link: "one", From: "one 1.0-1: ./usr/bin/eins"}, got["/usr/bin/eins"])
			assert.Equal(t, "/usr/bin/one", got["/etc/abs"].Link)
			assert.Equal(t, "", read(t, got["/etc/empty"]))
			assert.Len(t, read(t, got["/usr/share/ü"]), 100000)

			assert.Equal(t, "Package: one\nVersion: 1.0-1\nArchitecture: amd64\nDepends: two\nDescription: a test\n of several\n .\n lines\n",
				read(t, got["/var/lib/dpkg/status.d/one"]))
			assert.Equal(t, "d41d8cd98f00b204e9800998ecf8427e  x\n", read(t, got["/var/lib/dpkg/status.d/two.md5sums"]))
		})
	}
}

func TestMergeLayout(t *testing.T) {
	got := merged(t, debian.Options{})
	for path, mode := range map[string]uint32{
		"/tmp": 0o1777, "/var/tmp": 0o1777, "/run": 0o755, "/run/lock": 0o1777, "/srv": 0o755, "/opt": 0o755, "/mnt": 0o755, "/media": 0o755,
		"/root": 0o700, "/home": 0o755, "/proc": 0o755, "/sys": 0o755, "/dev": 0o755, "/etc": 0o755,
	} {
		assert.Equal(t, layer.Dir, got[path].Kind, path)
		assert.Equal(t, mode, got[path].Mode, path)
	}
	for path, link := range map[string]string{
		"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/var/run": "/run", "/var/lock": "/run/lock", "/etc/os-release": "../usr/lib/os-release",
	} {
		assert.Equal(t, layer.Symlink, got[path].Kind, path)
		assert.Equal(t, link, got[path].Link, path)
	}
	assert.Contains(t, read(t, got["/usr/lib/os-release"]), "ID=debian\n")
	assert.NotContains(t, got, "/lib64")
	assert.NotContains(t, got, "/etc/passwd")
	assert.NotContains(t, got, "/etc/ssl/certs/ca-certificates.crt")
}

func TestUsrmerge(t *testing.T) {
	unmerged := func(ending string) []byte {
		return debFile(t, "libc6", "2.36", "amd64", "", ending,
			file{name: "./bin/"}, file{name: "./bin/sh", body: "shell", mode: 0o755},
			file{name: "./lib/"}, file{name: "./lib/x86_64-linux-gnu/"}, file{name: "./lib/x86_64-linux-gnu/libc.so.6", body: "libc"},
			file{name: "./lib/x86_64-linux-gnu/libhard.so", kind: '1', link: "./lib/x86_64-linux-gnu/libc.so.6"},
			file{name: "./lib64/"}, file{name: "./lib64/ld.so", kind: '2', link: "/lib/x86_64-linux-gnu/ld.so"},
			file{name: "./usr/lib/os-release", body: "ID=debian\nVERSION_ID=12\n"},
			file{name: "./var/run/"}, file{name: "./var/run/thing/", mode: 0o700}, file{name: "./var/lock/", mode: 0o1777})
	}
	links := debFile(t, "base-files", "13", "amd64", "", ".gz",
		file{name: "./usr/bin/", mode: 0o711},
		file{name: "./bin", kind: '2', link: "usr/bin"}, file{name: "./lib", kind: '2', link: "/usr/lib"}, file{name: "./lib64", kind: '2', link: "usr/lib64"},
		file{name: "./etc/os-release", kind: '2', link: "../usr/lib/os-release"})
	for name, debs := range map[string][]debian.Deb{
		"no package has the links": {debOf("libc6", "2.36", "amd64", unmerged(".xz"))},
		"a package has the links":  {debOf("base-files", "13", "amd64", links), debOf("libc6", "2.36", "amd64", unmerged(".gz"))},
		"the package comes after":  {debOf("libc6", "2.36", "amd64", unmerged(".gz")), debOf("base-files", "13", "amd64", links)},
		"all packages come merged": {debOf("libc6", "2.36", "amd64", debFile(t, "libc6", "2.36", "amd64", "", "", file{name: "usr/bin/sh", body: "shell", mode: 0o755}, file{name: "usr/lib/x86_64-linux-gnu/libc.so.6", body: "libc"}, file{name: "usr/lib64/ld.so", body: "loader"}, file{name: "./run/thing/", mode: 0o700}, file{name: "usr/lib/x86_64-linux-gnu/libhard.so", body: "libc"}, file{name: "usr/lib/os-release", body: "ID=debian\nVERSION_ID=12\n"}))},
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
	t.Run("modes of base-files count", func(t *testing.T) {
		got := merged(t, debian.Options{}, debOf("libc6", "2.36", "amd64", unmerged(".gz")), debOf("base-files", "13", "amd64", links))
		assert.EqualValues(t, 0o711, got["/usr/bin"].Mode)
	})
}

func TestScripts(t *testing.T) {
	certificates := debFile(t, "ca-certificates", "2025", "all", "", ".xz",
		file{name: "./usr/share/ca-certificates/mozilla/B.crt", body: "B\n"},
		file{name: "./usr/share/ca-certificates/mozilla/A.crt", body: "A"},
		file{name: "./usr/share/ca-certificates/mozilla/Főtanúsítvány.crt", body: "C\n"},
		file{name: "./usr/share/ca-certificates/mozilla/README", body: "none\n"},
		file{name: "./usr/share/ca-certificates/mozilla/link.crt", kind: '2', link: "A.crt"})
	passwd := debFile(t, "base-passwd", "3.6", "amd64", "", ".xz",
		file{name: "./usr/share/base-passwd/passwd.master", body: "root:*:0:0:root:/root:/bin/bash\n"},
		file{name: "./usr/share/base-passwd/group.master", body: "root:*:0:"})
	got := merged(t, debian.Options{Slim: true}, debOf("ca-certificates", "2025", "all", certificates), debOf("base-passwd", "3.6", "amd64", passwd))
	assert.Equal(t, "A\nB\nC\n", read(t, got["/etc/ssl/certs/ca-certificates.crt"]))
	assert.Equal(t, "ca-certificates 2025: created in place of its scripts", got["/etc/ssl/certs/ca-certificates.crt"].From)
	assert.Equal(t, "/etc/ssl/certs/ca-certificates.crt", got["/usr/lib/ssl/cert.pem"].Link)
	assert.Equal(t, "root:*:0:0:root:/root:/bin/bash\nnonroot:x:65532:65532:nonroot:/home/nonroot:/usr/sbin/nologin\n", read(t, got["/etc/passwd"]))
	assert.Equal(t, "root:*:0:\nnonroot:x:65532:\n", read(t, got["/etc/group"]))
	assert.Equal(t, layer.Dir, got["/home/nonroot"].Kind)
	assert.Equal(t, []int{65532, 65532}, []int{got["/home/nonroot"].UID, got["/home/nonroot"].GID})

	t.Run("what a package has stays", func(t *testing.T) {
		own := debFile(t, "base-passwd", "3.6", "amd64", "", "",
			file{name: "./usr/share/base-passwd/passwd.master", body: "x"}, file{name: "./usr/share/base-passwd/group.master", body: "x"},
			file{name: "./etc/passwd", body: "own"})
		assert.Equal(t, "own", read(t, merged(t, debian.Options{}, debOf("base-passwd", "3.6", "amd64", own))["/etc/passwd"]))
	})
	t.Run("a master is missing", func(t *testing.T) {
		own := debFile(t, "base-passwd", "3.6", "amd64", "", "", file{name: "./usr/share/base-passwd/passwd.master", body: "x"})
		_, err := debian.Merge(t.Context(), []debian.Deb{debOf("base-passwd", "3.6", "amd64", own)}, debian.Options{TempDir: t.TempDir()})
		assert.ErrorContains(t, err, "group.master")
	})
}

func TestSlim(t *testing.T) {
	content := map[string]bool{ // whether it stays
		"/usr/share/doc/x/copyright": true, "/usr/share/doc/x/changelog.gz": false, "/usr/share/doc/x/examples/copyright": true,
		"/usr/share/man/man1/x.1.gz": false, "/usr/share/info/x.info": false, "/usr/share/lintian/overrides/x": false, "/usr/share/bug/x": false,
		"/usr/share/locale/de/x.mo": false, "/usr/share/locale/locale.alias": true, "/usr/share/localexyz": true, "/usr/share/documents": true,
		"/usr/lib/x86_64-linux-gnu/gconv/EUC-JP.so": false, "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so": true, "/usr/lib/gconv/BIG5.so": false,
		"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules": true, "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache": true,
		"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/extra.conf": true, "/etc/ld.so.conf": true, "/usr/share/common-licenses/GPL": true,
	}
	files := []file{{name: "./usr/share/man/"}, {name: "./usr/share/doc/"}, {name: "./usr/share/doc/x/"},
		{name: "./usr/share/doc/libx", kind: '2', link: "x"}, {name: "./usr/share/doc/x/FAQ", kind: '2', link: "README"}}
	for path := range content {
		files = append(files, file{name: "." + path, body: path})
	}
	d := debOf("xx", "1", "all", debFile(t, "xx", "1", "all", "", ".gz", files...))
	got := merged(t, debian.Options{Slim: true}, d)
	all := merged(t, debian.Options{}, d)
	for path, stays := range content {
		assert.Contains(t, all, path)
		if stays {
			assert.Contains(t, got, path)
		} else {
			assert.NotContains(t, got, path)
		}
	}
	assert.Contains(t, got, "/usr/share/doc/libx", "the way to a licence")
	assert.NotContains(t, got, "/usr/share/doc/x/FAQ")
	assert.NotContains(t, got, "/usr/share/man")
	assert.Contains(t, all, "/usr/share/man")
	assert.Contains(t, got, "/var/lib/dpkg/status.d/xx")
}

func TestMergeHostile(t *testing.T) {
	for name, c := range map[string]struct {
		file file
		want string
	}{
		"absolute":                   {file{name: "/etc/passwd"}, `"/etc/passwd": absolute path`},
		"above":                      {file{name: "./../etc/passwd"}, `"./../etc/passwd": path contains ..`},
		"above, in between":          {file{name: "./usr/../../x"}, "path contains .."},
		"a device":                   {file{name: "./dev/null", kind: '3'}, `unsupported file type '3'`},
		"a block device":             {file{name: "./dev/sda", kind: '4'}, "unsupported file type"},
		"a fifo":                     {file{name: "./run/fifo", kind: '6'}, "unsupported file type"},
		"a link above":               {file{name: "./usr/x", kind: '2', link: "../../etc"}, "above the root"},
		"a link above, absolute":     {file{name: "./usr/x", kind: '2', link: "/../etc"}, "above the root"},
		"a link above, later":        {file{name: "./usr/x", kind: '2', link: "a/../../../etc"}, "above the root"},
		"a link above, in /lib":      {file{name: "./lib/x", kind: '2', link: "../../etc"}, "above the root"},
		"a hard link out":            {file{name: "./usr/x", kind: '1', link: "../../etc/passwd"}, `hard link to "../../etc/passwd": path contains ..`},
		"a hard link, absolute":      {file{name: "./usr/x", kind: '1', link: "/etc/passwd"}, "absolute path"},
		"a hard link to nothing":     {file{name: "./usr/x", kind: '1', link: "./usr/y"}, "which is not a preceding file of the package"},
		"a hard link to a directory": {file{name: "./usr/x", kind: '1', link: "./usr"}, "which is not a preceding file of the package"},
		"a hard link to a link":      {file{name: "./usr/x", kind: '1', link: "./usr/link"}, "which is not a preceding file of the package"},
		"not text":                   {file{name: "./usr/\xff\xfe"}, "name is not printable UTF-8"},
		"a line end":                 {file{name: "./usr/a\nb"}, "name is not printable UTF-8"},
		"too long":                   {file{name: "./usr/" + strings.Repeat("x", 256)}, "too long"},
		"the root as a file":         {file{name: "./bin", body: "x"}, "must be a link to /usr/bin, as in Debian"},
		"another link":               {file{name: "./bin", kind: '2', link: "/tmp"}, "must be a link to /usr/bin, as in Debian"},
		"too large":                  {file{name: "./usr/x", body: strings.Repeat("x", 200<<10)}, "unpacked content exceeds the size limit"},
	} {
		t.Run(name, func(t *testing.T) {
			content := debFile(t, "evil", "1.0", "amd64", "", ".gz", file{name: "./usr/"}, file{name: "./usr/link", kind: '2', link: "share"}, c.file)
			_, err := debian.Merge(t.Context(), []debian.Deb{debOf("evil", "1.0", "amd64", content)}, debian.WithLimit(debian.Options{TempDir: t.TempDir()}, 100<<10))
			var hostile *debian.InvalidPackageError
			require.ErrorAs(t, err, &hostile)
			assert.Equal(t, "evil 1.0", hostile.Package)
			assert.ErrorContains(t, err, c.want)
			assert.NotEmpty(t, hostile.Hint())
		})
	}
}

// A file of holes has no content that is packed, so that only its declared size says how much it unpacks to.
func TestMergeHoles(t *testing.T) {
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=./usr/x", "GNU.sparse.realsize=8589934592"} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	holes := tarOf(t, file{name: "pax", body: records}, file{name: "./usr/x", body: "1\n8589934592\n0\n" + strings.Repeat("\x00", 512-15)})
	// The first is what PAX says about the second. A header's own checksum is that of it with blanks in its place.
	holes[156] = 'x'
	copy(holes[148:156], "        ")
	sum := 0
	for _, b := range holes[:512] {
		sum += int(b)
	}
	copy(holes[148:], fmt.Sprintf("%06o\x00 ", sum))
	h, err := tar.NewReader(bytes.NewReader(holes)).Next()
	require.NoError(t, err)
	require.EqualValues(t, 8<<30, h.Size)

	control := tarOf(t, file{name: "control", body: "Package: evil\nVersion: 1\nArchitecture: all\n"})
	content := arOf("debian-binary", "2.0\n", "control.tar", string(control), "data.tar", string(holes))
	_, err = debian.Merge(t.Context(), []debian.Deb{debOf("evil", "1", "all", content)}, debian.Options{TempDir: t.TempDir()})
	assert.ErrorContains(t, err, "package evil 1: unpacked content exceeds the size limit")
}

func TestMergeBroken(t *testing.T) {
	good := debFile(t, "good", "1.0", "amd64", "", ".xz", file{name: "./usr/x", body: "x"})
	control := string(tarOf(t, file{name: "control", body: "Package: good\nVersion: 1.0\nArchitecture: amd64\n"}))
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":            {nil, "invalid size"},
		"no archive":       {[]byte("<html>"), "not an ar archive"},
		"cut":              {good[:len(good)-30], "package good 1.0"},
		"no data":          {arOf("debian-binary", "2.0\n", "control.tar", control), "data.tar is missing"},
		"no control":       {arOf("debian-binary", "2.0\n", "data.tar", control), `unexpected member "data.tar"`},
		"another format":   {arOf("debian-binary", "3.0\n"), "unsupported package format"},
		"another package":  {debFile(t, "other", "1.0", "amd64", "", ""), `control file is for package "other", version "1.0", architecture "amd64"`},
		"another version":  {debFile(t, "good", "1.1", "amd64", "", ""), `control file is for package "good", version "1.1", architecture "amd64"`},
		"unknown packing":  {arOf("debian-binary", "2.0\n", "control.tar.lzma", control), `unsupported compression ".lzma"`},
		"broken packing":   {arOf("debian-binary", "2.0\n", "control.tar.xz", control), "control.tar.xz: xz"},
		"an empty control": {arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t))), "control file is missing"},
		"a header":         {append(good[:8:8], bytes.Repeat([]byte("x"), 60)...), "invalid ar header"},
		"a size":           {bytes.Replace(good, []byte("4         `"), []byte("-4        `"), 1), "invalid ar header"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := debian.Merge(t.Context(), []debian.Deb{debOf("good", "1.0", "amd64", c.content)}, debian.Options{TempDir: t.TempDir()})
			assert.ErrorContains(t, err, c.want)
		})
	}
	t.Run("damaged", func(t *testing.T) {
		d := debOf("good", "1.0", "amd64", good)
		d.Package.SHA256 = sha([]byte("other"))
		_, err := debian.Merge(t.Context(), []debian.Deb{d}, debian.Options{TempDir: t.TempDir()})
		var sum *debian.ChecksumError
		require.ErrorAs(t, err, &sum)
	})
	t.Run("extra members that others may have", func(t *testing.T) {
		data := string(tarOf(t, file{name: "./usr/x", body: "x"}))
		content := arOf("debian-binary", "2.0\n", "_extra", "x", "control.tar/", control, "_more", "xy", "data.tar", data)
		assert.Equal(t, "x", read(t, merged(t, debian.Options{}, debOf("good", "1.0", "amd64", content))["/usr/x"]))
	})
}

func TestMergeConflicts(t *testing.T) {
	first := []file{{name: "./usr/", mode: 0o755}, {name: "./usr/x", body: "x"}, {name: "./usr/link", kind: '2', link: "share"}}
	for name, c := range map[string]struct {
		second []file
		want   string
	}{
		"equal files, directories of other modes": {[]file{{name: "./usr/", mode: 0o700}, {name: "./usr/x", body: "x"}, {name: "./usr/link", kind: '2', link: "share"}}, ""},
		"other content":          {[]file{{name: "./usr/x", body: "y"}}, "/usr/x: package one 1 has a file of 1 bytes, mode 0644"},
		"another mode":           {[]file{{name: "./usr/x", body: "x", mode: 0o755}}, "but package two 1 has a file of 1 bytes, mode 0755"},
		"another target":         {[]file{{name: "./usr/link", kind: '2', link: "lib"}}, "/usr/link: package one 1 has a symlink to share, but package two 1 has a symlink to lib"},
		"a directory for a file": {[]file{{name: "./usr/x/"}}, "/usr/x: package one 1 has a file"},
		"through a link":         {[]file{{name: "./usr/link/y", body: "y"}}, "/usr/link/y: package one 1 has a symlink to share at /usr/link, but package two 1 has a file"},
		"below a file":           {[]file{{name: "./usr/x/y/z", body: "y"}}, "/usr/x/y/z: package one 1 has a file of 1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			debs := []debian.Deb{debOf("two", "1", "all", debFile(t, "two", "1", "all", "", "", c.second...)), debOf("one", "1", "all", debFile(t, "one", "1", "all", "", "", first...))}
			tree, err := debian.Merge(t.Context(), debs, debian.Options{TempDir: t.TempDir()})
			if c.want == "" {
				require.NoError(t, err)
				require.NoError(t, tree.Close())
				return
			}
			var conflict *debian.ConflictError
			require.ErrorAs(t, err, &conflict)
			assert.ErrorContains(t, err, c.want)
		})
	}
	t.Run("two architectures", func(t *testing.T) {
		_, err := debian.Merge(t.Context(), []debian.Deb{
			debOf("one", "1", "amd64", debFile(t, "one", "1", "amd64", "", "")), debOf("two", "1", "arm64", debFile(t, "two", "1", "arm64", "", "")),
		}, debian.Options{TempDir: t.TempDir()})
		assert.ErrorContains(t, err, "package two: built for arm64, but other packages for amd64")
	})
	t.Run("two versions", func(t *testing.T) {
		_, err := debian.Merge(t.Context(), []debian.Deb{
			debOf("one", "1", "all", debFile(t, "one", "1", "all", "", "")), debOf("one", "2", "all", debFile(t, "one", "2", "all", "", "")),
		}, debian.Options{TempDir: t.TempDir()})
		assert.ErrorContains(t, err, "package one: listed with version 1, but also with 2")
	})
}

func TestSpill(t *testing.T) {
	d := debOf("one", "1", "all", debFile(t, "one", "1", "all", "", ".gz", file{name: "./usr/x", body: "x"}))
	dir := t.TempDir()
	tree, err := debian.Merge(t.Context(), []debian.Deb{d}, debian.Options{TempDir: dir})
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left, "nothing can stay behind")
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

// The same packages make the same layer, in whatever order they come.
func TestMergeIsDeterministic(t *testing.T) {
	var debs []debian.Deb
	for _, name := range []string{"base-files", "aa", "bb", "cc"} {
		debs = append(debs, debOf(name, "1", "all", debFile(t, name, "1", "all", "", ".gz", file{name: "./usr/", mode: 0o700 + int64(name[0])%8}, file{name: "./usr/" + name, body: name})))
	}
	keys := map[string]bool{}
	for range 4 {
		debs = append(debs[1:], debs[0])
		tree, err := debian.Merge(t.Context(), debs, debian.Options{TempDir: t.TempDir()})
		require.NoError(t, err)
		keys[layer.Key(tree.Entries, layer.Options{OS: "linux"})] = true
		require.NoError(t, tree.Close())
	}
	assert.Len(t, keys, 1)
}
