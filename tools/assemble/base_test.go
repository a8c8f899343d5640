package main

import (
	"cmp"
	"context"
	"io"
	"log"
	"math/rand"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	ourregistry "github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// baseImage returns an image with Docker media types and a config.
func baseImage(t *testing.T, os, architecture string) v1.Image {
	t.Helper()
	img, err := random.Image(300, 2, random.WithSource(rand.NewSource(1)))
	require.NoError(t, err)
	file, err := img.ConfigFile()
	require.NoError(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = os, architecture, v1.Time{Time: time.Unix(1e9, 0)}
	file.Config = v1.Config{
		Entrypoint: []string{"/base"}, Cmd: []string{"of", "base"}, Env: []string{"PATH=/base", "A=base"}, User: "7",
		WorkingDir: "/base",
		Labels:     map[string]string{"of": "base"}, ExposedPorts: map[string]struct{}{"1/tcp": {}},
	}
	img, err = mutate.ConfigFile(img, file)
	require.NoError(t, err)
	return img
}

// oneImage writes an OCI layout with one image, as rules_oci's oci.pull does.
func oneImage(t *testing.T, dir string, img v1.Image) {
	t.Helper()
	p, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	require.NoError(t, p.AppendImage(img))
}

// TestBaseImageMatchesEmbeddedEngine assembles an image on a base in a layout. The embedded engine builds the same
// image on the same base in a registry.
func TestBaseImageMatchesEmbeddedEngine(t *testing.T) {
	for name, c := range map[string]struct {
		platform, os, architecture, version string
		yaml, settings                      string
	}{
		"everything from the base": {
			"linux/amd64", "linux", "amd64", "", "", `{"settings":{"created":"1970-01-01T00:00:00Z"}}`,
		},
		"arguments of its own": {
			"linux/arm64", "linux", "arm64", "", "    cmd: [x]\n", `{"settings":{"cmd":["x"],"created":"1970-01-01T00:00:00Z"}}`,
		},
		"arguments taken away": {
			"linux/amd64", "linux", "amd64", "", "    cmd: []\n", `{"settings":{"cmd":[],"created":"1970-01-01T00:00:00Z"}}`,
		},
		"another entrypoint": {
			"linux/amd64", "linux", "amd64", "",
			"    entrypoint: [/x/a]\n    env: {A: own}\n    labels: {l: v}\n    user: \"8\"\n",
			`{"settings":{"entrypoint":["/x/a"],"env":["A=own"],"labels":{"l":"v"},"user":"8",` +
				`"created":"1970-01-01T00:00:00Z"}}`,
		},
		"Windows": {
			"windows/amd64", "windows", "amd64", "10.0.20348.1", "", `{"settings":{"created":"1970-01-01T00:00:00Z"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			img := baseImage(t, c.os, c.architecture)
			server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
			t.Cleanup(server.Close)
			reference := strings.TrimPrefix(server.URL, "http://") + "/under:1"
			l := lockOf(t, reference, c.platform, c.version, img)
			content, err := l.Format()
			require.NoError(t, err)
			w.write("multiarch.lock", string(content))
			want := w.embeddedOn(l, "version: 1\nplatforms: ["+c.platform+"]\nbases: {under: {image: \""+reference+
				"\"}}\nimages:\n  hello:\n    base: under\n"+
				"    files: [{from: etc/a, to: /x/a}]\n"+c.yaml)

			oneImage(t, "under", img)
			w.write("settings", c.settings)
			w.must("base", "-name", "under", "-layout", "under", "-lock", "multiarch.lock", "-platform", c.platform,
				"-base", "base.json")
			w.must("layer", "-content", "files", "-os", c.os, "-blob", "blob", "-descriptor", "blob.json",
				entry("etc/a", "/x/a"))
			w.must("index", "-index", "index", "-descriptor", "top", "-digest", "digest",
				"--", "-platform", c.platform, "-settings", "settings", "-base", "base.json", "-layer", "blob.json",
				"-manifest", "manifest", "-config", "config", "-descriptor", "descriptor")
			w.must("layout", "-name", "hello", "-out", "out", "-root", "top", "-index", "index", "-child", "descriptor",
				"-manifest", "manifest",
				"-config", "config", "-layer", "blob.json", "-blob", "blob", "-base", "base.json", "-base-layout", "under")
			written, err := layout.ImageIndexFromPath("out")
			require.NoError(t, err)
			require.NoError(t, validate.Index(written))
			top, err := written.IndexManifest()
			require.NoError(t, err)
			digest, err := want.Digest()
			require.NoError(t, err)
			assert.Equal(t, digest.String(), top.Manifests[0].Digest.String())
			made, err := written.ImageIndex(top.Manifests[0].Digest)
			require.NoError(t, err)
			m, err := made.IndexManifest()
			require.NoError(t, err)
			assert.Equal(t, c.version, m.Manifests[0].Platform.OSVersion)
			child, err := made.Image(m.Manifests[0].Digest)
			require.NoError(t, err)
			layers, err := child.Layers()
			require.NoError(t, err)
			require.Len(t, layers, 3)
			for _, layer := range layers {
				mediaType, err := layer.MediaType()
				require.NoError(t, err)
				assert.Equal(t, types.OCILayer, mediaType, "Docker media types must be converted")
			}
		})
	}
}

// lockOf pushes a base to its repository and returns its lock.
func lockOf(t *testing.T, reference, platform, version string, img v1.Image) *lock.File {
	t.Helper()
	ref, err := name.ParseReference(reference)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, img))
	m, err := img.Manifest()
	require.NoError(t, err)
	digest, err := img.Digest()
	require.NoError(t, err)
	child := lock.Child{
		Manifest:  lock.Blob{Digest: digest, Size: 1, MediaType: m.MediaType},
		Config:    lock.Blob{Digest: m.Config.Digest, Size: m.Config.Size, MediaType: m.Config.MediaType},
		OSVersion: version,
	}
	for _, l := range m.Layers {
		child.Layers = append(child.Layers, lock.Blob{Digest: l.Digest, Size: l.Size, MediaType: l.MediaType})
	}
	return &lock.File{Bases: map[string]lock.Base{"under": {Image: &lock.Image{
		Reference: reference + "@" + digest.String(), MediaType: m.MediaType,
		Platforms: map[string]lock.Child{platform: child},
	}}}}
}

// embeddedOn returns the index that the embedded engine builds from a configuration with locked bases.
func (w actionDir) embeddedOn(l *lock.File, yaml string) v1.ImageIndex {
	w.Helper()
	c, err := config.Parse("multiarch.yaml", []byte(yaml))
	require.NoError(w, err)
	p, err := plan.New(c, plan.Options{Lock: l})
	require.NoError(w, err)
	store, err := cache.Open(w.TempDir())
	require.NoError(w, err)
	puller := pull.NewPuller(ourregistry.Client{}, store)
	results, err := build.Run(w.Context(), p, build.Options{
		Dir:   w.dir,
		Store: store,
		Pull: func(ctx context.Context, b plan.Base) (build.Base, error) {
			i, err := puller.Open(w.Context(), b.Name, b.Image.Reference, b.Image.Child)
			return build.Base{Config: i.Config, Layers: i.Layers}, err
		},
	})
	require.NoError(w, err)
	require.Len(w, results, 1)
	return results[0].Index
}

func TestBaseErrors(t *testing.T) {
	w := newActionDir(t)
	img := baseImage(t, "linux", "amd64")
	oneImage(t, "under", img)
	oneImage(t, "two", img)
	p, err := layout.FromPath("two")
	require.NoError(t, err)
	require.NoError(t, p.AppendImage(baseImage(t, "linux", "arm64")))
	strange, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:     layerOf(t, img),
		MediaType: types.DockerForeignLayer,
	})
	require.NoError(t, err)
	oneImage(t, "strange", strange)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	reference := strings.TrimPrefix(server.URL, "http://") + "/under"
	content, err := lockOf(t, reference, "linux/amd64", "", baseImage(t, "linux", "riscv64")).Format()
	require.NoError(t, err)
	w.write("other.lock", string(content))
	content, err = lockOf(t, reference, "linux/arm64", "", img).Format()
	require.NoError(t, err)
	w.write("arm64.lock", string(content))
	w.write("broken.lock", "{")
	for name, c := range map[string]struct {
		layout, lock, platform string
		want                   []string
	}{
		"no layout": {
			"etc", "", "",
			[]string{"base under for linux/amd64: etc/index.json does not exist", "hint: use a complete OCI image layout"},
		},
		"several images": {
			"two", "", "",
			[]string{
				"the layout must contain exactly one image, got 2 manifests", "oci.pull with the digest of the platform's manifest",
			},
		},
		"a layer to leave out": {
			"strange", "", "",
			[]string{"it has a layer of unsupported type " + string(types.DockerForeignLayer)},
		},
		"another image": {
			"under", "other.lock", "",
			[]string{"the layout contains sha256:", "but multiarch.lock has sha256:", "hint: run: multiarch generate"},
		},
		"another platform": {"under", "arm64.lock", "", []string{"not found in multiarch.lock", "hint: run: multiarch lock"}},
		"a broken lock":    {"under", "broken.lock", "", []string{"broken.lock: "}},
		"another system": {
			"under", "", "windows/amd64",
			[]string{"base under for windows/amd64: the image is for linux/amd64"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{
				"base", "-name", "under", "-layout", c.layout, "-platform", cmp.Or(c.platform, "linux/amd64"), "-base", "base.json",
			}
			if c.lock != "" {
				args = append(args, "-lock", c.lock)
			}
			code, stderr := w.run(args...)
			assert.Equal(t, 1, code)
			for _, text := range c.want {
				assert.Contains(t, stderr, text)
			}
			assert.NoFileExists(t, "base.json")
		})
	}
}

func layerOf(t *testing.T, img v1.Image) v1.Layer {
	t.Helper()
	layers, err := img.Layers()
	require.NoError(t, err)
	return layers[0]
}

// TestPackagesErrors covers invalid arguments. Package debian tests invalid packages.
func TestPackagesErrors(t *testing.T) {
	const sum = "015be740d6236ad114582dea500c1d907f29e16d6db00566ca32fb68d71ac90d"
	w := newActionDir(t)
	w.write("packages.json", `[{"name":"ab","version":"1","architecture":"all","path":"pool/a.deb","size":5,"sha256":"`+
		sum+`"}]`)
	w.write(sum+".deb", "other")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"without a name": {
			[]string{"-packages", "packages.json"},
			2, "layer: -content packages requires -name and -packages",
		},
		"without a list": {[]string{"-name", "py"}, 2, "layer: -content packages requires -name and -packages"},
		"one is missing": {
			[]string{"-name", "py", "-packages", "packages.json"},
			1, "building base py: package ab 1: missing file " + sum + ".deb",
		},
		"another file": {
			[]string{"-name", "py", "-packages", "packages.json", "-deb", sum + ".deb"},
			1, "building base py: verifying package ab",
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, stderr := w.run(append([]string{"layer", "-content", "packages", "-blob", "blob", "-descriptor", "descriptor"},
				c.args...)...)
			assert.Equal(t, c.code, code)
			assert.Contains(t, stderr, c.want)
			assert.NoFileExists(t, "blob")
			assert.NoFileExists(t, "descriptor")
		})
	}
}
