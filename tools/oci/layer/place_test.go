package layer_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/rootfs"
)

// base returns a file system with special directories and links to some of them.
func base(t *testing.T) *rootfs.Tree {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	at := time.Unix(981173106, 500)
	for _, h := range []tar.Header{
		{Name: "srv/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "srv/pg/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 999, Gid: 998,
			PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}},
		{Name: "opt/app/", Typeflag: tar.TypeDir, Mode: 0o2755},
		{Name: "run/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "app", Typeflag: tar.TypeSymlink, Linkname: "/opt/app"},
		{Name: "var/run", Typeflag: tar.TypeSymlink, Linkname: "../run"},
		{Name: "via", Typeflag: tar.TypeSymlink, Linkname: "var/run/../../app"},
		{Name: "escape", Typeflag: tar.TypeSymlink, Linkname: "../../../srv"},
		{Name: "dangling", Typeflag: tar.TypeSymlink, Linkname: "nowhere/deep"},
		{Name: "loop", Typeflag: tar.TypeSymlink, Linkname: "pool"},
		{Name: "pool", Typeflag: tar.TypeSymlink, Linkname: "loop"},
		{Name: "file", Typeflag: tar.TypeReg},
		{Name: "flink", Typeflag: tar.TypeSymlink, Linkname: "file"},
	} {
		h.ModTime, h.Format = at, tar.FormatPAX
		require.NoError(t, w.WriteHeader(&h))
	}
	require.NoError(t, w.Close())
	tree := rootfs.New()
	require.NoError(t, tree.Apply(&out))
	return tree
}

func TestPlace(t *testing.T) {
	tree := base(t)
	dir := func(path string) layer.Entry {
		return layer.Entry{Path: path, Kind: layer.Dir, Mode: 0o750, UID: 7, GID: 8, KeepMode: true, KeepOwner: true}
	}
	owner := &layer.Owner{UID: 5, GID: 6}
	link := func(path, to string, rank layer.Rank) layer.Entry {
		return layer.Entry{Path: path, Kind: layer.Symlink, Mode: 0o777, Link: to, Rank: rank}
	}
	file := func(path string) layer.Entry { return layer.NewFile(path, 0o644, nil) }
	cases := 0
	for _, c := range []struct {
		entry layer.Entry
		want  []string
		wrong string
	}{
		{entry: file("/srv/pg/conf"), want: []string{"srv/ 755 0:0 old", "srv/pg/ 700 999:998 old user.x",
			"srv/pg/conf 644 0:0"}},
		{entry: file("/app/hello"), want: []string{"opt/ 755 0:0", "opt/app/ 2755 0:0 old", "opt/app/hello 644 0:0"}},
		{entry: file("/via/hello"), want: []string{"opt/ 755 0:0", "opt/app/ 2755 0:0 old", "opt/app/hello 644 0:0"}},
		{entry: file("/var/run/pid"), want: []string{"run/ 755 0:0 old", "run/pid 644 0:0"}},
		{entry: file("/escape/new/f"), want: []string{"srv/ 755 0:0 old", "srv/new/ 755 0:0", "srv/new/f 644 0:0"}},
		{entry: file("/dangling/f"), want: []string{"nowhere/ 755 0:0", "nowhere/deep/ 755 0:0",
			"nowhere/deep/f 644 0:0"}},
		{entry: file("/tmp/f"), want: []string{"tmp/ 1777 0:0", "tmp/f 644 0:0"}},
		{entry: file("/loop/f"), wrong: "/loop: too many levels of symbolic links"},
		{entry: file("/file/f"), wrong: "/file is a file in the base"},
		{entry: file("/flink/x/f"), wrong: "/file is a file in the base"},
		{entry: file("/file"), want: []string{"file 644 0:0"}},
		{entry: file("/flink"), want: []string{"flink 644 0:0"}},
		{entry: file("/loop"), want: []string{"loop 644 0:0"}},
		{entry: file("/srv"), wrong: "/srv would replace a directory of the base"},
		{entry: file("/app"), wrong: "/app would replace a link to the directory /opt/app"},
		{entry: link("/app", "/opt/app", 0), want: []string{"app 777 0:0 -> /opt/app"}},
		{entry: link("/app", "/other", 0), wrong: "/app would replace a link to the directory /opt/app"},
		{entry: link("/app", "/other", layer.RankExplicit), want: []string{"app 777 0:0 -> /other"}},
		{entry: link("/srv", "/other", layer.RankExplicit), wrong: "/srv would replace a directory of the base"},
		{entry: link("/flink", "x", 0), want: []string{"flink 777 0:0 -> x"}},
		{entry: dir("/srv/pg"), want: []string{"srv/ 755 0:0 old", "srv/pg/ 700 999:998 old user.x"}},
		{entry: dir("/srv/new"), want: []string{"srv/ 755 0:0 old", "srv/new/ 750 7:8"}},
		{entry: dir("/app"), want: []string{"opt/ 755 0:0", "opt/app/ 2755 0:0 old"}},
		{entry: dir("/flink"), wrong: "/file is a file in the base"},
		{entry: layer.ExplicitDir("/srv/pg", 0o711, owner), want: []string{"srv/ 755 0:0 old",
			"srv/pg/ 711 5:6 old user.x"}},
		{entry: layer.ExplicitDir("/srv/pg", 0, owner), want: []string{"srv/ 755 0:0 old",
			"srv/pg/ 700 5:6 old user.x"}},
		{entry: layer.ExplicitDir("/srv/pg", 0o711, nil), want: []string{"srv/ 755 0:0 old",
			"srv/pg/ 711 999:998 old user.x"}},
	} {
		cases++
		placed, err := layer.Place([]layer.Entry{c.entry}, tree)
		if c.wrong != "" {
			assert.ErrorContains(t, err, c.wrong)
			continue
		}
		require.NoError(t, err, c.entry.Path)
		compressed, _ := write(t, placed, layer.Options{})
		var got []string
		for _, h := range headers(t, unpack(t, compressed, false)) {
			text := fmt.Sprintf("%s %o %d:%d", h.Name, h.Mode, h.Uid, h.Gid)
			if h.ModTime.Equal(time.Unix(981173106, 500)) {
				text += " old"
			}
			if h.PAXRecords["SCHILY.xattr.user.x"] == "y" {
				text += " user.x"
			}
			if h.Linkname != "" {
				text += " -> " + h.Linkname
			}
			got = append(got, text)
		}
		assert.Equal(t, c.want, got, c.entry.Path)
	}
	t.Logf("%d cases", cases)
}

// TestPlaceFindsConflictsBehindLinks copies two files to one path in two ways.
func TestPlaceFindsConflictsBehindLinks(t *testing.T) {
	placed, err := layer.Place([]layer.Entry{layer.NewFile("/app/x", 0o644, []byte("a")),
		layer.NewFile("/opt/app/x", 0o644, []byte("b"))}, base(t))
	require.NoError(t, err)
	_, err = layer.Write(t.Context(), &bytes.Buffer{}, placed, layer.Options{})
	assert.ErrorContains(t, err, "two different entries for /opt/app/x")
}

func TestRanks(t *testing.T) {
	files := layer.Entry{Path: "/d", Kind: layer.Dir, Mode: 0o755, UID: 1, GID: 1}
	explicit := layer.ExplicitDir("/d", 0o700, &layer.Owner{UID: 2, GID: 2})
	link := layer.Entry{Path: "/d", Kind: layer.Symlink, Mode: 0o777, Link: "e"}
	requiredDir := layer.Entry{Path: "/d", Kind: layer.Dir, Mode: 0o755, UID: 3, GID: 3, Rank: layer.RankNeeded}
	for _, c := range []struct {
		entries []layer.Entry
		want    string
	}{
		{[]layer.Entry{requiredDir, files}, "d/ 755 1"},
		{[]layer.Entry{files, requiredDir}, "d/ 755 1"},
		{[]layer.Entry{files, explicit}, "d/ 700 2"},
		{[]layer.Entry{explicit, files, requiredDir}, "d/ 700 2"},
		{[]layer.Entry{requiredDir, link}, "d 777 0"},
		{[]layer.Entry{link, requiredDir}, "d 777 0"},
		{[]layer.Entry{explicit, link}, ""},
		{[]layer.Entry{requiredDir, layer.NewFile("/d", 0o644, nil)}, ""},
	} {
		var out bytes.Buffer
		_, err := layer.Write(t.Context(), &out, c.entries, layer.Options{})
		if c.want == "" {
			assert.ErrorContains(t, err, "two different entries for /d")
			continue
		}
		require.NoError(t, err)
		all := headers(t, unpack(t, out.Bytes(), false))
		require.Len(t, all, 1)
		assert.Equal(t, c.want, fmt.Sprintf("%s %o %d", all[0].Name, all[0].Mode, all[0].Uid))
	}
}

// TestStack puts a second layer on top of a first, whose owners, links and users apply to it.
func TestStack(t *testing.T) {
	_, over, err := layer.Stack([]layer.Entry{
		{Path: "/srv/state", Kind: layer.Dir, Mode: 0o700, UID: 5, GID: 5},
		layer.ExplicitLink("/cmd", "app/cmd"),
		layer.NewFile("/etc/passwd", 0o644, []byte("me:x:12:13::/:/bin/sh\n")),
	}, layer.RequiredDirs{Paths: []string{"/cmd", "/var/run/me", "/srv/pg"}, User: "me"}, base(t))
	require.NoError(t, err)
	entries := []layer.Entry{layer.NewFile("/srv/state/f", 0o644, nil), layer.NewFile("/cmd/f", 0o644, nil)}
	placed, _, err := layer.Stack(entries, layer.RequiredDirs{Paths: []string{"/work/here", "/run/me"},
		User: "me:7"}, over)
	require.NoError(t, err)
	got := map[string]string{}
	for _, e := range placed {
		got[e.Path] = fmt.Sprintf("%o %d:%d", e.Mode, e.UID, e.GID)
	}
	assert.Equal(t, "700 5:5", got["/srv/state"])
	assert.Equal(t, "755 0:0", got["/work"])
	assert.Equal(t, "755 12:7", got["/work/here"])
	assert.Equal(t, "755 12:13", got["/run/me"], "as in the first layer")
	assert.Contains(t, got, "/opt/app/cmd/f")
	assert.Equal(t, uint32(0o700), over.Lstat("/srv/pg").Mode)
	assert.Equal(t, rootfs.Symlink, over.Lstat("/cmd").Kind)

	placed, nothing, err := layer.Stack(entries, layer.RequiredDirs{Paths: []string{"/work"}}, nil)
	assert.NoError(t, err)
	assert.Nil(t, nothing)
	assert.Equal(t, len(entries), len(placed), "the base is unknown")
	placed, _, err = layer.Stack(nil, layer.RequiredDirs{Paths: []string{"/file/x"}}, base(t))
	assert.ErrorContains(t, err, "/file is a file in the base", placed)
	placed, _, err = layer.Stack(nil, layer.RequiredDirs{Paths: []string{"/work"}, User: "unknown"}, base(t))
	require.NoError(t, err)
	assert.Zero(t, placed[0].UID)
}

func TestCapabilities(t *testing.T) {
	set, err := filecap.Parse("cap_net_bind_service=+ep")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o755))
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	entries, err := layer.Collect(tree, layer.Source{From: "x", To: "/x", Capabilities: set.Encode()})
	require.NoError(t, err)
	compressed, _ := write(t, entries, layer.Options{})
	all := headers(t, unpack(t, compressed, false))
	require.Len(t, all, 1)
	assert.Equal(t, string(set.Encode()), all[0].PAXRecords["SCHILY.xattr.security.capability"])
}
