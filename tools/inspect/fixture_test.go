package inspect_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/inspect"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// compiled has the tiny program for every platform that a test has asked for.
var compiled sync.Map

// compile compiles the tiny program for a platform. extra are more settings of the environment, NAME=value.
func compile(t testing.TB, platform string, extra ...string) []byte {
	t.Helper()
	key := strings.Join(append([]string{platform}, extra...), " ")
	build, _ := compiled.LoadOrStore(key, sync.OnceValues(func() ([]byte, error) {
		p, err := arch.Parse(platform)
		if err != nil {
			return nil, err
		}
		row, _ := arch.Find(p)
		dir := t.TempDir()
		for name, text := range map[string]string{
			"go.mod":  "module example.com/hello\n\ngo 1.24\n",
			"main.go": "package main\n\nfunc main() { println(\"hello\") }\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return nil, err
			}
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "hello", ".")
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), row.Go.Environ()...), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
		cmd.Env = append(cmd.Env, extra...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, err
		}
		return os.ReadFile(filepath.Join(dir, "hello"))
	}))
	content, err := build.(func() ([]byte, error))()
	require.NoError(t, err)
	return content
}

// file is a file of a test layer. Its kind follows from what is set; a name that ends in a slash is a directory.
type file struct {
	name, text, link string
	mode             int64
	typeflag         byte
	header           func(*tar.Header)
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text)), Linkname: f.link, Typeflag: f.typeflag}
		switch {
		case f.typeflag != 0:
		case f.link != "":
			h.Typeflag = tar.TypeSymlink
		case f.name[len(f.name)-1] == '/':
			h.Typeflag = tar.TypeDir
		default:
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if f.header != nil {
			f.header(h)
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := io.WriteString(w, f.text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// layerOf is an uncompressed layer: fast, and its bytes are the tar's.
func layerOf(t testing.TB, files ...file) v1.Layer {
	t.Helper()
	return static.NewLayer(tarOf(t, files...), types.OCIUncompressedLayer)
}

// shared is the layer that all children of the good index have.
func shared(t testing.TB) v1.Layer {
	return layerOf(t, file{name: "etc/"}, file{name: "etc/passwd", text: "root:x:0:0:root:/root:/bin/sh\n"})
}

// imageOf is an image that starts /app/hello (or what change makes of that).
func imageOf(t testing.TB, platform string, change func(*v1.ConfigFile), layers ...v1.Layer) v1.Image {
	t.Helper()
	p, err := v1.ParsePlatform(platform)
	require.NoError(t, err)
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		Config: v1.Config{Entrypoint: []string{"/app/hello"}, Env: []string{"PATH=/usr/bin:/bin"}, WorkingDir: "/"},
		RootFS: v1.RootFS{Type: "layers"},
	})
	require.NoError(t, err)
	img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.AppendLayers(img, layers...)
	require.NoError(t, err)
	if change != nil {
		config, err := img.ConfigFile()
		require.NoError(t, err)
		change(config)
		img, err = mutate.ConfigFile(img, config)
		require.NoError(t, err)
	}
	return img
}

// hello is a good image of a platform.
func hello(t testing.TB, platform string) v1.Image {
	if platform == "windows/amd64" {
		return imageOf(t, platform, func(c *v1.ConfigFile) { c.Config.Entrypoint = []string{`C:\app\Hello`} }, shared(t),
			layerOf(t, file{name: "Files/"}, file{name: "Files/app/hello.exe", text: string(compile(t, platform))}))
	}
	return imageOf(t, platform, nil, shared(t),
		layerOf(t, file{name: "app/hello", text: string(compile(t, platform)), mode: 0o755}))
}

// child is an entry of a test index.
type child struct {
	platform string // of the descriptor, "" for none
	image    v1.Image
}

func indexOf(t testing.TB, children ...child) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, c := range children {
		d, err := describe(c.image)
		require.NoError(t, err)
		d.Platform = nil
		if c.platform != "" {
			d.Platform, err = v1.ParsePlatform(c.platform)
			require.NoError(t, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: keep{c.image}, Descriptor: d})
	}
	return index
}

func describe(img v1.Image) (v1.Descriptor, error) {
	mediaType, err := img.MediaType()
	if err != nil {
		return v1.Descriptor{}, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	return v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size}, err
}

// keep hides an image's own descriptor, whose platform mutate would take where a test wants none.
type keep struct{ v1.Image }

// goodIndex has a good child for every platform.
func goodIndex(t testing.TB, platforms ...string) v1.ImageIndex {
	var children []child
	for _, p := range platforms {
		children = append(children, child{p, hello(t, p)})
	}
	return indexOf(t, children...)
}

// writeLayout writes what is to be an OCI layout with one entry, called hello.
func writeLayout(t testing.TB, what mutate.Appendable) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "hello"})
	switch w := what.(type) {
	case v1.ImageIndex:
		require.NoError(t, path.AppendIndex(w, named))
	case v1.Image:
		require.NoError(t, path.AppendImage(w, named))
	}
	return dir
}

func open(t testing.TB, ref string) *inspect.Source {
	t.Helper()
	s, err := inspect.Open(t.Context(), registry.Client{}, ref)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// documents are those of a child in a layout, for a test to damage.
type documents struct{ descriptor, manifest, config map[string]any }

// forge changes child n of the only index in a layout, and everything above it so that the digests are right.
func forge(t testing.TB, dir string, n int, change func(documents)) {
	t.Helper()
	var top, index map[string]any
	read := func(raw []byte, into *map[string]any) { require.NoError(t, json.Unmarshal(raw, into)) }
	blob := func(d any) string {
		digest := d.(map[string]any)["digest"].(string)
		return filepath.Join(dir, "blobs", "sha256", digest[len("sha256:"):])
	}
	load := func(d any, into *map[string]any) {
		raw, err := os.ReadFile(blob(d))
		require.NoError(t, err)
		read(raw, into)
	}
	store := func(d any, document map[string]any) {
		raw, err := json.Marshal(document)
		require.NoError(t, err)
		sum := sha256.Sum256(raw)
		descriptor := d.(map[string]any)
		descriptor["digest"], descriptor["size"] = "sha256:"+hex.EncodeToString(sum[:]), len(raw)
		require.NoError(t, os.WriteFile(blob(d), raw, 0o644))
	}
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	read(raw, &top)
	entry := top["manifests"].([]any)[0]
	load(entry, &index)
	d := documents{descriptor: index["manifests"].([]any)[n].(map[string]any)}
	load(d.descriptor, &d.manifest)
	load(d.manifest["config"], &d.config)
	saved := d.manifest["config"]
	change(d)
	if d.config != nil {
		store(saved, d.config)
	}
	store(d.descriptor, d.manifest)
	store(entry, index)
	raw, err = json.Marshal(top)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), raw, 0o644))
}

var (
	digests    = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	regexpSize = regexp.MustCompile(`the manifest says [0-9]{4,}`)
	// sizes are those of a program, which another Go version makes a little longer or shorter.
	sizes       = regexp.MustCompile(`[0-9.]+MB`)
	kilobytes   = regexp.MustCompile(`[0-9.]+k?B`)
	regexpBytes = regexp.MustCompile(`the index has [0-9]+ bytes, its descriptor says [0-9]+`)
)

var (
	discardLog = log.New(io.Discard, "", 0)
	mu         sync.Mutex
)

func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// lines are problems as text, with the digests left out.
func lines(problems []inspect.Problem) []string {
	all := []string{}
	for _, p := range problems {
		all = append(all, digests.ReplaceAllString(p.String(), "sha256:..."))
	}
	return all
}

// program finds an external program, or ends the test.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

func runTool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return out
}
