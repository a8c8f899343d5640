package build_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// tarLayer returns an uncompressed layer with the given headers. opened counts how often it is opened.
func tarLayer(t *testing.T, opened *int, headers ...tar.Header) image.Layer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		content := h.Linkname
		if h.Typeflag != tar.TypeReg {
			content = ""
		}
		h.Size = int64(len(content))
		h.ModTime = time.Unix(981173106, 0)
		require.NoError(t, w.WriteHeader(&h))
		_, err := io.WriteString(w, content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	digest, size, err := v1.SHA256(bytes.NewReader(out.Bytes()))
	require.NoError(t, err)
	return image.Layer{
		Descriptor: layer.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: digest, Size: size, DiffID: digest},
		Blob: func() (io.ReadCloser, error) {
			*opened++
			return io.NopCloser(bytes.NewReader(out.Bytes())), nil
		},
	}
}

// onBase plans images on a base image in a registry.
func onBase(t *testing.T, platforms, images string) *plan.Plan {
	t.Helper()
	p := planOf(t, "version: 1\nplatforms: ["+platforms+"]\nimages:\n"+images)
	for i := range p.Images {
		for j := range p.Images[i].Children {
			p.Images[i].Children[j].Base = plan.Base{Name: "odd", Image: &plan.BaseImage{Reference: "r/odd",
				Child: lock.Child{}}}
		}
	}
	return p
}

// contents returns descriptions of the tar headers in the layers of a child above its base.
func contents(t *testing.T, r build.Result, child, base int) (layers [][]string) {
	t.Helper()
	m, err := r.Index.IndexManifest()
	require.NoError(t, err)
	img, err := r.Index.Image(m.Manifests[child].Digest)
	require.NoError(t, err)
	all, err := img.Layers()
	require.NoError(t, err)
	for _, l := range all[base:] {
		blob, err := l.Uncompressed()
		require.NoError(t, err)
		var list []string
		for entries := tar.NewReader(blob); ; {
			h, err := entries.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			text := fmt.Sprintf("%s %o %d:%d", h.Name, h.Mode, h.Uid, h.Gid)
			if h.ModTime.Unix() == 981173106 {
				text += " old"
			}
			if h.Linkname != "" {
				text += " -> " + h.Linkname
			}
			if h.PAXRecords["SCHILY.xattr.security.capability"] != "" {
				text += " capable"
			}
			list = append(list, text)
		}
		require.NoError(t, blob.Close())
		layers = append(layers, list)
	}
	return layers
}

// TestLayersKeepDirectoriesOfTheBase adds files and programs to a base with unusual owners, modes and links.
func TestLayersKeepDirectoriesOfTheBase(t *testing.T) {
	dir := func(name string, mode int64, uid int) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode, Uid: uid, Gid: uid}
	}
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	opened := 0
	layers := []image.Layer{
		tarLayer(t, &opened, dir("srv/pg/", 0o700, 999), dir("opt/app/", 0o750, 7), link("app", "/opt/app"),
			link("var/run", "../run"),
			dir("gone/", 0o700, 5), link("work", "elsewhere"), dir("state", 0o711, 3),
			tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Linkname: "me:x:12:13::/:\n"}), // with Linkname as content
		tarLayer(t, &opened, tar.Header{Name: ".wh.gone", Typeflag: tar.TypeReg}, tar.Header{Name: ".wh.work",
			Typeflag: tar.TypeReg}),
	}
	cases := 0
	for name, c := range map[string]struct {
		yaml string
		want [][]string
	}{
		"a file in a directory of the base": {"files: [{from: shared/conf, to: /srv/pg/conf}]",
			[][]string{{"srv/ 755 0:0", "srv/pg/ 700 999:999 old", "srv/pg/conf 644 0:0"}}},
		"the program through a link": {"go: {package: ./two, capabilities: cap_net_raw=p}",
			[][]string{{"opt/ 755 0:0", "opt/app/ 750 7:7 old", "opt/app/x 755 0:0 capable"}}},
		"a program over files": {"{go: {package: ./two}, files: [{from: shared, to: /app, owner: 9}, {from: " +
			"shared/conf, to: /gone/}]}",
			[][]string{
				{"gone/ 755 0:0", "gone/conf 644 0:0", "opt/ 755 0:0", "opt/app/ 750 7:7 old",
					"opt/app/conf 644 9:9", "opt/app/sub/ 755 9:9", "opt/app/sub/conf 644 9:9"},
				{"opt/ 755 0:0", "opt/app/ 750 7:7 old", "opt/app/x 755 0:0"},
			}},
		"the working directory and volumes, owned by the user of the base": {"{workdir: /work/here, volumes: " +
			"[/state, /var/run/me], go: {package: ./two}}",
			[][]string{{
				"opt/ 755 0:0", "opt/app/ 750 7:7 old", "opt/app/x 755 0:0", "run/ 755 0:0", "run/me/ 755 12:13",
				"state/ 711 3:3 old", "work/ 755 0:0", "work/here/ 755 12:13",
			}}},
		"owned by a configured user": {"{volumes: [/new], user: \"5:6\", links: [{path: /usr/bin/sh, to: busybox}]}",
			[][]string{{"new/ 755 5:6", "usr/ 755 0:0", "usr/bin/ 755 0:0", "usr/bin/sh 777 0:0 -> busybox"}}},
		"directories": {"directories: [{path: /state, owner: 1:2}, {path: /srv/pg, mode: 0711}, {path: /new/d, " +
			"owner: 8, mode: 0700}]",
			[][]string{{"new/ 755 0:0", "new/d/ 700 8:8", "srv/ 755 0:0", "srv/pg/ 711 999:999 old",
				"state/ 711 1:2 old"}}},
		"owner and mode of the destination": {"files: [{from: shared, to: /new/state, owner: 4:5, mode: 0640}]",
			[][]string{{"new/ 755 0:0", "new/state/ 750 4:5", "new/state/conf 640 4:5", "new/state/sub/ 750 4:5",
				"new/state/sub/conf 640 4:5"}}},
		"an empty directory": {"files: [{from: empties, to: /e}]", [][]string{{"e/ 755 0:0", "e/a/ 755 0:0",
			"e/a/none/ 755 0:0"}}},
	} {
		cases++
		t.Run(name, func(t *testing.T) {
			top := tree(t)
			require.NoError(t, os.MkdirAll(filepath.Join(top, "empties/a/none"), 0o755))
			yaml := c.yaml
			if yaml[0] != '{' {
				yaml = "{" + yaml + "}"
			}
			p := onBase(t, "linux/amd64", "  x: "+yaml+"\n")
			results, err := build.Run(t.Context(), p, build.Options{Dir: top, Store: store(t, t.TempDir()),
				Pull: func(context.Context, plan.Base) (build.Base, error) {
					return build.Base{Config: &image.BaseConfig{ConfigFile: v1.ConfigFile{OS: "linux",
						Config: v1.Config{User: "me"}, RootFS: v1.RootFS{DiffIDs: []v1.Hash{{}, {}}}}}, Layers: layers}, nil
				}})
			require.NoError(t, err)
			require.Len(t, results, 1)
			assert.Equal(t, c.want, contents(t, results[0], 0, 2))
		})
	}
	t.Logf("%d cases", cases)
}

// TestLayersOfABaseAreReadOnce counts how often the layers of a base are read. Platforms whose bases have the same
// directories share a layer.
func TestLayersOfABaseAreReadOnce(t *testing.T) {
	opened := map[string]*int{"amd64": new(int), "arm64": new(int), "s390x": new(int)}
	bases := map[string][]image.Layer{}
	for name, mode := range map[string]int64{"amd64": 0o700, "arm64": 0o700, "s390x": 0o711} {
		bases[name] = []image.Layer{tarLayer(t, opened[name], tar.Header{Name: "etc/", Typeflag: tar.TypeDir,
			Mode: mode}, tar.Header{Name: "of", Typeflag: tar.TypeSymlink, Linkname: name})}
	}
	p := onBase(t, "linux/amd64, linux/arm64, linux/s390x",
		"  x: {files: [{from: shared, to: /etc/shared}]}\n  y: {files: [{from: README, to: /etc/}]}\n")
	for i := range p.Images {
		for j, c := range p.Images[i].Children {
			p.Images[i].Children[j].Base.Name = c.Platform.Architecture
		}
	}
	dir, top := t.TempDir(), tree(t)
	var first []v1.Hash
	for range 2 {
		results, err := build.Run(t.Context(), p, build.Options{Dir: top, Store: store(t, dir),
			Pull: func(_ context.Context, b plan.Base) (build.Base, error) {
				return build.Base{Config: &image.BaseConfig{ConfigFile: v1.ConfigFile{OS: "linux",
					RootFS: v1.RootFS{DiffIDs: []v1.Hash{{}}}}}, Layers: bases[b.Name]}, nil
			}})
		require.NoError(t, err)
		var files []v1.Hash
		m, err := results[0].Index.IndexManifest()
		require.NoError(t, err)
		for _, d := range m.Manifests {
			img, err := results[0].Index.Image(d.Digest)
			require.NoError(t, err)
			manifest, err := img.Manifest()
			require.NoError(t, err)
			files = append(files, manifest.Layers[1].Digest)
		}
		assert.Equal(t, files[0], files[1], "the same directories give the same layer")
		assert.NotEqual(t, files[0], files[2])
		first = append(first, files...)
	}
	assert.Equal(t, first[:3], first[3:])
	for name, n := range opened {
		assert.Equal(t, 1, *n, name)
	}
}

// TestConflictsWithTheBaseFail checks that errors name the image and the conflict.
func TestConflictsWithTheBaseFail(t *testing.T) {
	opened := 0
	base := []image.Layer{tarLayer(t, &opened,
		tar.Header{Name: "file", Typeflag: tar.TypeReg}, tar.Header{Name: "dir/sub", Typeflag: tar.TypeDir},
		tar.Header{Name: "loop", Typeflag: tar.TypeSymlink, Linkname: "loop"},
		tar.Header{Name: "app", Typeflag: tar.TypeSymlink, Linkname: "file"})}
	for yaml, want := range map[string]string{
		"files: [{from: README, to: /file/x}]": "image x, linux/amd64: README: /file: /file is a file " +
			"in the base",
		"files: [{from: README, to: /loop/x}]":           "too many levels of symbolic links",
		"files: [{from: README, to: /dir}]":              "README: /dir would replace a directory of the base",
		"files: [{from: shared, to: /file}]":             "/file is a file in the base",
		"go: {package: ./two}":                           "/file is a file in the base",
		"{workdir: /file/w, links: [{path: /l, to: x}]}": "/file is a file in the base",
		"directories: [{path: /loop}]":                   "too many levels of symbolic links",
		"links: [{path: /dir, to: x}]":                   "/dir would replace a directory of the base",
	} {
		if yaml[0] != '{' {
			yaml = "{" + yaml + "}"
		}
		_, err := build.Run(t.Context(), onBase(t, "linux/amd64", "  x: "+yaml+"\n"), build.Options{Dir: tree(t),
			Store: store(t, t.TempDir()), Pull: func(context.Context, plan.Base) (build.Base, error) {
				return build.Base{Config: &image.BaseConfig{ConfigFile: v1.ConfigFile{OS: "linux",
					RootFS: v1.RootFS{DiffIDs: []v1.Hash{{}}}}}, Layers: base}, nil
			}})
		assert.ErrorContains(t, err, want, yaml)
		assert.ErrorContains(t, err, "image x, linux/amd64")
	}
}

// TestBuiltinBases creates directories on the built-in bases, and in a Windows image.
func TestBuiltinBases(t *testing.T) {
	for base, want := range map[string][]string{
		"scratch": {"home/ 755 0:0", "home/nonroot/ 700 65532:65532", "home/nonroot/x/ 755 7:7", "tmp/ 1777 0:0",
			"tmp/f 644 0:0"},
		"static": {"home/ 755 0:0", "home/nonroot/ 700 65532:65532", "home/nonroot/x/ 755 7:7", "tmp/ 1777 0:0",
			"tmp/f 644 0:0"},
	} {
		r := run(t, tree(t), t.TempDir(), "version: 1\nplatforms: [linux/amd64]\nimages:\n  x: {base: "+base+", "+
			"user: 7, workdir: /home/nonroot/x, files: [{from: README, to: /tmp/f}]}\n")
		below := 0
		if base == "static" {
			below = 1
		}
		assert.Equal(t, [][]string{want}, contents(t, r[0], 0, below), base)
	}
	r := run(t, tree(t), t.TempDir(), "version: 1\nplatforms: [windows/amd64]\nimages:\n  x: {base: scratch, "+
		"workdir: /work, files: [{from: README, to: /f}]}\n")
	list := contents(t, r[0], 0, 0)[0]
	assert.True(t, slices.ContainsFunc(list, func(s string) bool { return s == "Files/work/ 755 0:0" }), list)
	_, ok := arch.Find(arch.Platform{OS: "windows", Architecture: "amd64"})
	assert.True(t, ok)
}
