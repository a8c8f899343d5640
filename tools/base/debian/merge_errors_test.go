package debian_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
)

func TestMergeRejectsInvalidFiles(t *testing.T) {
	const (
		notPreceding = "which is not a preceding file of the package"
		aboveRoot    = "above the root"
		notALink     = "must be a link to /usr/bin, as in Debian"
	)
	for name, c := range map[string]struct {
		file file
		want string
	}{
		"absolute path":            {file{name: "/etc/passwd"}, `"/etc/passwd": absolute path`},
		"path above":               {file{name: "./../etc/passwd"}, `"./../etc/passwd": path contains a ".." element`},
		"path above in the middle": {file{name: "./usr/../../x"}, `path contains a ".." element`},
		"character device":         {file{name: "./dev/null", kind: '3'}, "unsupported file type '3'"},
		"block device":             {file{name: "./dev/sda", kind: '4'}, "unsupported file type '4'"},
		"fifo":                     {file{name: "./run/fifo", kind: '6'}, "unsupported file type '6'"},
		"link above":               {file{name: "./usr/x", kind: '2', link: "../../etc"}, aboveRoot},
		"absolute link above":      {file{name: "./usr/x", kind: '2', link: "/../etc"}, aboveRoot},
		"link above in the middle": {file{name: "./usr/x", kind: '2', link: "a/../../../etc"}, aboveRoot},
		"link above in /lib":       {file{name: "./lib/x", kind: '2', link: "../../etc"}, aboveRoot},
		"hard link above": {
			file{name: "./usr/x", kind: '1', link: "../../etc/passwd"},
			`hard link to "../../etc/passwd": path contains a ".." element`,
		},
		"absolute hard link":     {file{name: "./usr/x", kind: '1', link: "/etc/passwd"}, "absolute path"},
		"hard link to nothing":   {file{name: "./usr/x", kind: '1', link: "./usr/y"}, notPreceding},
		"hard link to directory": {file{name: "./usr/x", kind: '1', link: "./usr"}, notPreceding},
		"hard link to link":      {file{name: "./usr/x", kind: '1', link: "./usr/link"}, notPreceding},
		"invalid UTF-8":          {file{name: "./usr/\xff\xfe"}, "name is not printable UTF-8"},
		"line feed":              {file{name: "./usr/a\nb"}, "name is not printable UTF-8"},
		"long name":              {file{name: "./usr/" + strings.Repeat("x", 256)}, "name too long"},
		"file instead of link":   {file{name: "./bin", body: "x"}, notALink},
		"other link":             {file{name: "./bin", kind: '2', link: "/tmp"}, notALink},
		"large file": {
			file{name: "./usr/x", body: strings.Repeat("x", 200<<10)}, "unpacked content exceeds the size limit",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeb(t, "evil", "1.0", "amd64",
				file{name: "./usr/"}, file{name: "./usr/link", kind: '2', link: "share"}, c.file)
			options := debian.WithLimit(debian.Options{TempDir: t.TempDir()}, 100<<10)
			_, err := debian.Merge(t.Context(), []debian.Deb{d}, options)
			var invalid *debian.InvalidPackageError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, "evil 1.0", invalid.Package)
			assert.ErrorContains(t, err, c.want)
			assert.NotEmpty(t, invalid.Hint())
		})
	}
}

// A sparse file has no compressed content, so only its declared size reveals its unpacked size.
func TestMergeLimitsSparseFiles(t *testing.T) {
	records := ""
	for _, r := range []string{
		"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=./usr/x", "GNU.sparse.realsize=8589934592",
	} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	sparse := tarOf(t, file{name: "pax", body: records},
		file{name: "./usr/x", body: "1\n8589934592\n0\n" + strings.Repeat("\x00", 512-15)})
	// Make the first entry the PAX header of the second. Checksums are computed with blanks in their place.
	sparse[156] = 'x'
	copy(sparse[148:156], "        ")
	sum := 0
	for _, b := range sparse[:512] {
		sum += int(b)
	}
	copy(sparse[148:], fmt.Sprintf("%06o\x00 ", sum))
	h, err := tar.NewReader(bytes.NewReader(sparse)).Next()
	require.NoError(t, err)
	require.EqualValues(t, 8<<30, h.Size)

	control := tarOf(t, file{name: "control", body: "Package: evil\nVersion: 1\nArchitecture: all\n"})
	content := arOf("debian-binary", "2.0\n", "control.tar", string(control), "data.tar", string(sparse))
	_, err = merge(t, debOf("evil", "1", "all", content))
	assert.ErrorContains(t, err, "package evil 1: unpacked content exceeds the size limit")
}

func TestMergeRejectsInvalidPackages(t *testing.T) {
	good := debFile(t, "good", "1.0", "amd64", "", ".xz", file{name: "./usr/x", body: "x"})
	control := string(tarOf(t, file{name: "control", body: "Package: good\nVersion: 1.0\nArchitecture: amd64\n"}))
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":               {nil, "invalid size"},
		"not an archive":      {[]byte("<html>"), "not an ar archive"},
		"truncated":           {good[:len(good)-30], "package good 1.0"},
		"without data.tar":    {arOf("debian-binary", "2.0\n", "control.tar", control), "data.tar is missing"},
		"without control.tar": {arOf("debian-binary", "2.0\n", "data.tar", control), `unexpected member "data.tar"`},
		"other format":        {arOf("debian-binary", "3.0\n"), "unsupported package format"},
		"other package": {
			debFile(t, "other", "1.0", "amd64", "", ""),
			`control file is for package "other", version "1.0", architecture "amd64"`,
		},
		"other version": {
			debFile(t, "good", "1.1", "amd64", "", ""),
			`control file is for package "good", version "1.1", architecture "amd64"`,
		},
		"unknown compression": {
			arOf("debian-binary", "2.0\n", "control.tar.lzma", control), `unsupported compression ".lzma"`,
		},
		"invalid compression":  {arOf("debian-binary", "2.0\n", "control.tar.xz", control), "control.tar.xz: xz"},
		"without control file": {arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t))), "control file is missing"},
		"invalid header":       {append(good[:8:8], bytes.Repeat([]byte("x"), 60)...), "invalid ar header"},
		"invalid size":         {bytes.Replace(good, []byte("4         `"), []byte("-4        `"), 1), "invalid ar header"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := merge(t, debOf("good", "1.0", "amd64", c.content))
			assert.ErrorContains(t, err, c.want)
		})
	}
	t.Run("wrong checksum", func(t *testing.T) {
		d := debOf("good", "1.0", "amd64", good)
		d.Package.SHA256 = sha([]byte("other"))
		_, err := merge(t, d)
		var sum *debian.ChecksumError
		require.ErrorAs(t, err, &sum)
	})
	t.Run("ignores members of other tools", func(t *testing.T) {
		data := string(tarOf(t, file{name: "./usr/x", body: "x"}))
		d := debOf("good", "1.0", "amd64",
			arOf("debian-binary", "2.0\n", "_extra", "x", "control.tar/", control, "_more", "xy", "data.tar", data))
		assert.Equal(t, "x", read(t, merged(t, debian.Options{}, d)["/usr/x"]))
	})
}

func TestMergeRejectsConflicts(t *testing.T) {
	link := file{name: "./usr/link", kind: '2', link: "share"}
	one := newDeb(t, "one", "1", "all", file{name: "./usr/", mode: 0o755}, file{name: "./usr/x", body: "x"}, link)
	for name, c := range map[string]struct {
		second []file
		want   string
	}{
		"equal files and other directory modes": {
			[]file{{name: "./usr/", mode: 0o700}, {name: "./usr/x", body: "x"}, link}, "",
		},
		"other content": {
			[]file{{name: "./usr/x", body: "y"}}, "/usr/x: package one 1 has a file of 1 bytes, mode 0644",
		},
		"other mode": {
			[]file{{name: "./usr/x", body: "x", mode: 0o755}}, "but package two 1 has a file of 1 bytes, mode 0755",
		},
		"other target": {
			[]file{{name: "./usr/link", kind: '2', link: "lib"}},
			"/usr/link: package one 1 has a symlink to share, but package two 1 has a symlink to lib",
		},
		"directory instead of file": {[]file{{name: "./usr/x/"}}, "/usr/x: package one 1 has a file"},
		"file below a link": {
			[]file{{name: "./usr/link/y", body: "y"}},
			"/usr/link/y: package one 1 has a symlink to share at /usr/link, but package two 1 has a file",
		},
		"file below a file": {
			[]file{{name: "./usr/x/y/z", body: "y"}}, "/usr/x/y/z: package one 1 has a file of 1 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := merge(t, newDeb(t, "two", "1", "all", c.second...), one)
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
		_, err := merge(t, newDeb(t, "one", "1", "amd64"), newDeb(t, "two", "1", "arm64"))
		assert.ErrorContains(t, err, "package two: built for arm64, but other packages for amd64")
	})
	t.Run("two versions", func(t *testing.T) {
		_, err := merge(t, newDeb(t, "one", "1", "all"), newDeb(t, "one", "2", "all"))
		assert.ErrorContains(t, err, "package one: listed with version 1, but also with 2")
	})
}
