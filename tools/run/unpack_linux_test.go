package run_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/run"
)

func TestLayers(t *testing.T) {
	p := platform(t, "linux/amd64")
	owned := func(f file, uid, gid int) file {
		f.Uid, f.Gid = uid, gid
		return f
	}
	for name, c := range map[string]struct {
		layers [][]file
		want   string // one line per file below /t: its name and what the guest reports about it, without owners
	}{
		"modes and links": {[][]file{{
			directory("./t/", 0o750),
			text("./t/plain", 0o640, "a"),
			text("./t/setuid", 0o6755, "b"),
			directory("t/sticky", 0o3777),
			link(tar.TypeLink, "t/hard", "./t/plain"),
			link(tar.TypeSymlink, "t/soft", "/t/plain"),
			link(tar.TypeSymlink, "t/dangling", "../../../nowhere"),
		}}, `
			drwxr-x---
			dangling Lrwxrwxrwx -> ../../../nowhere
			hard -rw-r----- "a" links 2
			plain -rw-r----- "a" links 2
			setuid -rwxr-xr-x "b" links 1
			soft Lrwxrwxrwx -> /t/plain
			sticky dtrwxrwxrwx`},
		"absolute names and missing parents": {[][]file{{text("/t/a/b", 0o644, "x")}}, `
			drwxr-xr-x
			a drwxr-xr-x
			a/b -rw-r--r-- "x" links 1`},
		"replacing": {[][]file{
			{
				text("t/a", 0o644, "old"), text("t/dir/below", 0o644, "old"), text("t/file", 0o644, "old"),
				directory("t/kept", 0o700), text("t/kept/x", 0o644, "old"),
			},
			{text("t/a", 0o600, "new"), text("t/dir", 0o644, "new"), directory("t/file", 0o755), directory("t/kept", 0o755)},
		}, `
			drwxr-xr-x
			a -rw------- "new" links 1
			dir -rw-r--r-- "new" links 1
			file drwxr-xr-x
			kept drwxr-xr-x
			kept/x -rw-r--r-- "old" links 1`},
		"whiteouts": {[][]file{
			{text("t/gone", 0o644, ""), text("t/dir/x/y", 0o644, ""), text("t/kept", 0o644, ""), text("t/again", 0o644, "old")},
			{text("t/.wh.gone", 0, ""), text("t/.wh.dir", 0, ""), text("t/.wh.never", 0, ""), text("t/.wh..wh.plnk", 0, ""),
				text("t/again", 0o644, "new"), text("t/.wh.again", 0, "")},
		}, `
			drwxr-xr-x
			again -rw-r--r-- "new" links 1
			kept -rw-r--r-- "" links 1`},
		"whiteout of a directory that the same layer fills": {[][]file{
			{text("t/dir/old", 0o644, ""), text("t/dir/deep/old", 0o644, "")},
			{text("t/dir/deep/new", 0o644, ""), text("t/.wh.dir", 0, "")},
		}, `
			drwxr-xr-x
			dir drwxr-xr-x
			dir/deep drwxr-xr-x
			dir/deep/new -rw-r--r-- "" links 1`},
		"opaque": {[][]file{
			{text("t/dir/old", 0o644, ""), text("t/dir/deep/old", 0o644, "")},
			{text("t/dir/new", 0o644, ""), text("t/dir/.wh..wh..opq", 0, ""), text("t/dir/newer", 0o644, "")},
			{text("t/dir/.wh.newer", 0, ""), text("t/nothing/.wh..wh..opq", 0, "")},
		}, `
			drwxr-xr-x
			dir drwxr-xr-x
			dir/new -rw-r--r-- "" links 1`},
		"hard link into a lower layer that is replaced": {[][]file{
			{text("t/a", 0o644, "one")},
			{link(tar.TypeLink, "t/b", "t/a")},
			{text("t/a", 0o644, "two")},
		}, `
			drwxr-xr-x
			a -rw-r--r-- "two" links 1
			b -rw-r--r-- "one" links 1`},
		"through a link of a lower layer": {[][]file{
			{
				directory("t/usr/bin", 0o755), link(tar.TypeSymlink, "t/bin", "usr/bin"), link(tar.TypeSymlink, "t/abs", "/t/usr"),
				link(tar.TypeSymlink, "t/up", "../../../../t"),
			},
			{
				text("t/bin/one", 0o644, ""), text("t/abs/bin/two", 0o644, ""), text("t/up/usr/three", 0o644, ""),
				text("t/up/.wh.up", 0, ""),
			},
		}, `
			drwxr-xr-x
			abs Lrwxrwxrwx -> /t/usr
			bin Lrwxrwxrwx -> usr/bin
			usr drwxr-xr-x
			usr/bin drwxr-xr-x
			usr/bin/one -rw-r--r-- "" links 1
			usr/bin/two -rw-r--r-- "" links 1
			usr/three -rw-r--r-- "" links 1`},
		"devices are left out": {[][]file{{
			directory("t", 0o755),
			{tar.Header{Name: "t/disk", Typeflag: tar.TypeBlock, Devmajor: 8, Mode: 0o666}, nil},
			{tar.Header{Name: "t/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}, nil},
			{tar.Header{Name: "t/pipe", Typeflag: tar.TypeFifo, Mode: 0o666}, nil},
		}}, `
			drwxr-xr-x`},
	} {
		t.Run(name, func(t *testing.T) {
			layers := []v1.Layer{guestLayer(t, p)}
			for _, files := range c.layers {
				for i, f := range files {
					files[i] = owned(f, 1, 2)
				}
				layers = append(layers, layer(t, files...))
			}
			img := image(t, v1.Config{Entrypoint: []string{"/guest", "tree", "/t"}}, layers...)
			for _, u := range users(t) {
				res := u.run(t, img, request{Platform: p})
				require.Equal(t, 0, res.code, res.stderr)
				var got, want []string
				for line := range strings.Lines(res.stdout) {
					words := strings.Fields(line)
					switch implied := "0:0"; {
					case words[2] == implied: // the user that unpacks, or a directory without an entry in any layer
					default:
						assert.Equal(t, "1:2", words[2], line)
						assert.Equal(t, self, u, "only root can give files away")
					}
					words[0] = strings.TrimPrefix(strings.TrimPrefix(words[0], "/t"), "/")
					got = append(got, strings.TrimSpace(strings.Join(append(words[:2:2], words[3:]...), " ")))
				}
				for line := range strings.Lines(strings.TrimSpace(c.want)) {
					want = append(want, strings.TrimSpace(line))
				}
				assert.Equal(t, want, got, u)
			}
		})
	}
}

// TestHostileLayers unpacks layers that try to reach existing files outside the root.
func TestHostileLayers(t *testing.T) {
	p := platform(t, "linux/amd64")
	for name, c := range map[string]struct {
		files []file
		fails string
	}{
		"dots":                   {[]file{text("../../outside/file", 0o644, "evil")}, "escapes"},
		"dots behind a name":     {[]file{text("a/../../../outside/file", 0o644, "evil")}, "escapes"},
		"whiteout of the parent": {[]file{text("a/.wh...", 0o644, "")}, "invalid whiteout"},
		"whiteout of dots":       {[]file{text("../../outside/.wh.file", 0o644, "")}, "escapes"},
		"hard link to dots": {
			[]file{link(tar.TypeLink, "stolen", "../../outside/file"), text("stolen", 0o644, "evil")},
			"hard link",
		},
		"hard link to an absolute name": {[]file{link(tar.TypeLink, "stolen", "OUTSIDE/file")}, "hard link"},
		"written through a link": {
			[]file{link(tar.TypeSymlink, "away", "../../outside"), text("away/file", 0o644, "evil")},
			"",
		},
		"written through absolute link": {
			[]file{link(tar.TypeSymlink, "away", "OUTSIDE"), text("away/file", 0o644, "evil")},
			"",
		},
		"written through a chain": {
			[]file{
				link(tar.TypeSymlink, "a", "b/.."), link(tar.TypeSymlink, "b", "../../outside"),
				text("a/outside/file", 0o644, "evil"),
			},
			"",
		},
		"over a link": {
			[]file{link(tar.TypeSymlink, "file", "OUTSIDE/file"), text("file", 0o644, "evil")},
			"",
		},
		"directory over a link": {
			[]file{link(tar.TypeSymlink, "away", "OUTSIDE"), directory("away", 0o700), text("away/file", 0o644, "evil")},
			"",
		},
		"whiteout through a link": {
			[]file{link(tar.TypeSymlink, "away", "OUTSIDE"), text("away/.wh.file", 0, "")},
			"",
		},
		"opaque through a link": {
			[]file{link(tar.TypeSymlink, "away", "OUTSIDE"), text("away/.wh..wh..opq", 0, "")},
			"",
		},
		"hard link to a link": {
			[]file{
				link(tar.TypeSymlink, "away", "OUTSIDE/file"), link(tar.TypeLink, "hard", "away"), text("hard", 0o644, "evil"),
			},
			"",
		},
		"links in a circle": {
			[]file{link(tar.TypeSymlink, "a", "b"), link(tar.TypeSymlink, "b", "a"), text("a/file", 0o644, "evil")},
			"too many",
		},
		"mounts on links": {
			[]file{link(tar.TypeSymlink, "proc", "OUTSIDE"), link(tar.TypeSymlink, "dev", "OUTSIDE")},
			"",
		},
		"the root as a file": {[]file{text(".", 0o644, "evil")}, "root"},
		"the root as a link": {[]file{link(tar.TypeSymlink, "./", "OUTSIDE")}, "root"},
		"name service files on links": {
			[]file{link(tar.TypeSymlink, "etc/hosts", "OUTSIDE/file"), link(tar.TypeSymlink, "etc/resolv.conf", "OUTSIDE/new")},
			"",
		},
		"working directory on a link": {[]file{link(tar.TypeSymlink, "work", "OUTSIDE")}, ""},
		"user files are outside": {
			[]file{link(tar.TypeSymlink, "etc/passwd", "OUTSIDE/file"), link(tar.TypeSymlink, "etc/group", "/etc/group")},
			"",
		},
		"a volume on a link":             {[]file{link(tar.TypeSymlink, "volume", "OUTSIDE")}, ""},
		"a hard link to itself":          {[]file{text("itself", 0o644, "a"), link(tar.TypeLink, "itself", "itself")}, ""},
		"a file as a directory":          {[]file{text("plain", 0o644, "a"), text("plain/below", 0o644, "a")}, "plain/below"},
		"a hard link to a missing file":  {[]file{link(tar.TypeLink, "a", "b")}, "hard link"},
		"a name that is too long":        {[]file{text(strings.Repeat("a", 300), 0o644, "")}, "too long"},
		"a hard link of a directory":     {[]file{directory("d", 0o755), link(tar.TypeLink, "e", "d")}, "not permitted"},
		"a hard link to the root itself": {[]file{link(tar.TypeLink, "e", "/")}, "not permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", filepath.Join(temp, "roots"))
			require.NoError(t, os.Mkdir(os.TempDir(), 0o700))
			outside := filepath.Join(temp, "outside")
			require.NoError(t, os.Mkdir(outside, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), []byte("untouched"), 0o604))

			for i, f := range c.files {
				c.files[i].Linkname = strings.ReplaceAll(f.Linkname, "OUTSIDE", outside)
			}
			img := image(t, v1.Config{Entrypoint: []string{"/guest", "exit", "7"}, WorkingDir: "/work/below",
				Volumes: map[string]struct{}{"/volume/below": {}}}, guestLayer(t, p), layer(t, c.files...))
			code, err := run.Run(t.Context(), run.Options{Image: img, Platform: p})
			if c.fails == "" {
				require.NoError(t, err)
				assert.Equal(t, 7, code)
			} else {
				require.ErrorContains(t, err, c.fails)
				assert.ErrorContains(t, err, "layer 2 of 2")
			}

			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			body, err := os.ReadFile(filepath.Join(outside, "file"))
			require.NoError(t, err)
			assert.Equal(t, "untouched", string(body))
			info, err := os.Stat(filepath.Join(outside, "file"))
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o604), info.Mode())
			info, err = os.Stat(outside)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o755), info.Mode().Perm())
			for dir, count := range map[string]int{temp: 2, os.TempDir(): 0} {
				entries, err = os.ReadDir(dir)
				require.NoError(t, err)
				assert.Len(t, entries, count, dir)
			}
		})
	}
}
