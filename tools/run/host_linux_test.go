package run

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
)

func TestWaysToRun(t *testing.T) {
	for _, c := range []struct {
		host, levels, programs, platform string
		want                             string // emulators in order of preference, "native" for none
	}{
		{"amd64", "", "", "linux/amd64", "native"},
		{"amd64", "v2", "", "linux/amd64/v2", "native"},
		{"amd64", "v2", "", "linux/amd64/v3", ""},
		{"amd64", "v2", "qemu-x86_64", "linux/amd64/v3", "qemu-x86_64"},
		{"amd64", "v2", "qemu-x86_64", "linux/amd64/v4", ""},
		{"amd64", "v2 v3 v4", "", "linux/amd64/v4", "native"},
		{"amd64", "", "qemu-x86_64-static", "linux/amd64", "native qemu-x86_64-static"},
		{"amd64", "", "qemu-i386-static", "linux/386", "native qemu-i386-static"},
		{"amd64", "", "qemu-arm", "linux/arm64", ""},
		{"amd64", "", "qemu-aarch64", "linux/arm64", "qemu-aarch64"},
		{"arm64", "", "qemu-arm-static", "linux/arm/v7", "native qemu-arm-static"},
		{"arm64", "", "", "linux/arm64", "native"},
		{"arm64", "", "qemu-x86_64", "linux/amd64", "qemu-x86_64"},
		{"arm", "v6", "qemu-arm", "linux/arm/v7", "qemu-arm"},
		{"arm", "v6", "", "linux/arm/v6", "native"},
		{"386", "", "", "linux/amd64", ""},
		{"mips64le", "", "", "linux/mips64le", "native"},
		{"ppc64", "", "qemu-ppc64le", "linux/ppc64le", "qemu-ppc64le"},
	} {
		p, err := arch.Parse(c.platform)
		require.NoError(t, err)
		row, ok := arch.Find(p)
		require.True(t, ok)
		dir := t.TempDir()
		self, err := os.Readlink("/proc/self/exe")
		require.NoError(t, err)
		h := host{
			os: "linux", arch: c.host,
			level: func(v string) bool { return v == "" || strings.Contains(c.levels, v) },
			find: func(name string) (string, error) {
				for p := range strings.FieldsSeq(c.programs) {
					if p == name { // any ELF file works
						at := filepath.Join(dir, name)
						return at, os.Symlink(self, at)
					}
				}
				return "", errors.New("not found")
			},
		}
		var got []string
		for _, w := range waysToRun(row, h) {
			name := filepath.Base(w.emulator)
			if w.emulator == "" {
				name = "native"
			}
			got = append(got, name)
		}
		assert.Equal(t, c.want, strings.Join(got, " "), "%s on %s", c.platform, c.host)
	}
}

// FuzzLayer unpacks arbitrary layers and checks that files beside the root do not change.
func FuzzLayer(f *testing.F) {
	seed := func(headers ...tar.Header) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			h.Mode = 0o644
			require.NoError(f, w.WriteHeader(&h))
		}
		require.NoError(f, w.Close())
		f.Add(b.Bytes())
	}
	seed(tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "../outside"}, tar.Header{
		Name:     "a/file",
		Typeflag: tar.TypeReg,
	})
	seed(tar.Header{Name: "a/b", Typeflag: tar.TypeReg}, tar.Header{Name: "c", Typeflag: tar.TypeLink, Linkname: "a/b"})
	seed(tar.Header{Name: "a/.wh.b", Typeflag: tar.TypeReg}, tar.Header{Name: "a/.wh..wh..opq", Typeflag: tar.TypeReg})
	seed(tar.Header{Name: "a/../../outside/.wh.file", Typeflag: tar.TypeReg}, tar.Header{
		Name:     "d/",
		Typeflag: tar.TypeDir,
	})
	f.Fuzz(func(t *testing.T, layer []byte) {
		dir := t.TempDir()
		outside := filepath.Join(dir, "outside")
		require.NoError(t, os.Mkdir(outside, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), []byte("untouched"), 0o604))
		tr, err := newTree(filepath.Join(dir, "root"))
		require.NoError(t, err)
		_ = tr.layer(t.Context(), bytes.NewReader(layer))
		require.NoError(t, tr.Close())

		for at, want := range map[string]int{dir: 2, outside: 1} {
			entries, err := os.ReadDir(at)
			require.NoError(t, err)
			require.Len(t, entries, want)
		}
		body, err := os.ReadFile(filepath.Join(outside, "file"))
		require.NoError(t, err)
		require.Equal(t, "untouched", string(body))
		info, err := os.Stat(filepath.Join(outside, "file"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o604), info.Mode())
	})
}
