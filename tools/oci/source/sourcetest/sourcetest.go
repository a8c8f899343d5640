// Package sourcetest builds the images, layouts and registries that tests of package source and of the packages that
// examine images work on.
package sourcetest

import (
	"archive/tar"
	"bytes"
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

	"net/http"
	"net/http/httptest"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// compiled caches the test program by platform.
var compiled sync.Map

// Compile compiles the test program for a platform. extra are additional environment variables, NAME=value.
func Compile(t testing.TB, platform string, extra ...string) []byte {
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

// File is a file of a test layer. If Typeflag is not set, it follows from the other fields; a name that ends in a slash
// is a directory.
type File struct {
	Name, Text, Link string
	Mode             int64
	Typeflag         byte
	Header           func(*tar.Header)
}

// Tar returns a tar archive of files.
func Tar(t testing.TB, files ...File) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: f.Mode, Size: int64(len(f.Text)), Linkname: f.Link, Typeflag: f.Typeflag}
		switch {
		case f.Typeflag != 0:
		case f.Link != "":
			h.Typeflag = tar.TypeSymlink
		case f.Name[len(f.Name)-1] == '/':
			h.Typeflag = tar.TypeDir
		default:
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if f.Header != nil {
			f.Header(h)
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := io.WriteString(w, f.Text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// Layer returns an uncompressed layer. It is fast, and its bytes are those of the tar archive.
func Layer(t testing.TB, files ...File) v1.Layer {
	t.Helper()
	return static.NewLayer(Tar(t, files...), types.OCIUncompressedLayer)
}

// SharedLayer returns the layer that all images of HelloIndex have.
func SharedLayer(t testing.TB) v1.Layer {
	return Layer(t, File{Name: "etc/"}, File{Name: "etc/passwd", Text: "root:x:0:0:root:/root:/bin/sh\n"})
}

// Image returns an image that starts /app/hello, or what change sets instead.
func Image(t testing.TB, platform string, change func(*v1.ConfigFile), layers ...v1.Layer) v1.Image {
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

// Hello returns a valid image for a platform.
func Hello(t testing.TB, platform string) v1.Image {
	if platform == "windows/amd64" {
		return Image(t, platform, func(c *v1.ConfigFile) { c.Config.Entrypoint = []string{`C:\app\Hello`} }, SharedLayer(t),
			Layer(t, File{Name: "Files/"}, File{Name: "Files/app/hello.exe", Text: string(Compile(t, platform))}))
	}
	return Image(t, platform, nil, SharedLayer(t),
		Layer(t, File{Name: "app/hello", Text: string(Compile(t, platform)), Mode: 0o755}))
}

// Child is an entry of a test index.
type Child struct {
	Platform string // of the descriptor, "" for none
	Image    v1.Image
}

// Index returns an index of children.
func Index(t testing.TB, children ...Child) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, c := range children {
		d, err := Describe(c.Image)
		require.NoError(t, err)
		d.Platform = nil
		if c.Platform != "" {
			d.Platform, err = v1.ParsePlatform(c.Platform)
			require.NoError(t, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: keep{c.Image}, Descriptor: d})
	}
	return index
}

// Describe returns the descriptor of an image without a platform.
func Describe(img v1.Image) (v1.Descriptor, error) {
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

// keep hides the descriptor of an image, because mutate would copy its platform to an entry without one.
type keep struct{ v1.Image }

// HelloIndex returns an index with a valid image for each platform.
func HelloIndex(t testing.TB, platforms ...string) v1.ImageIndex {
	var children []Child
	for _, p := range platforms {
		children = append(children, Child{p, Hello(t, p)})
	}
	return Index(t, children...)
}

// WriteLayout writes an image or index into a new OCI layout, with the name hello, and returns its directory.
func WriteLayout(t testing.TB, what mutate.Appendable) string {
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

// Open opens a reference and closes the source when the test ends.
func Open(t testing.TB, ref string) *source.Source {
	t.Helper()
	s, err := source.Open(t.Context(), registry.Client{}, ref)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Documents are the parsed documents of a child, for a test to change.
type Documents struct{ Descriptor, Manifest, Config map[string]any }

// Forge changes child n of the only index in a layout and updates all digests above it.
func Forge(t testing.TB, dir string, n int, change func(Documents)) {
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
	d := Documents{Descriptor: index["manifests"].([]any)[n].(map[string]any)}
	load(d.Descriptor, &d.Manifest)
	load(d.Manifest["config"], &d.Config)
	saved := d.Manifest["config"]
	change(d)
	if d.Config != nil {
		store(saved, d.Config)
	}
	store(d.Descriptor, d.Manifest)
	store(entry, index)
	raw, err = json.Marshal(top)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), raw, 0o644))
}

var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// HideDigests replaces all digests in s, so that tests can compare texts.
func HideDigests(s string) string { return digestPattern.ReplaceAllString(s, "sha256:...") }

// TarDir writes a tar archive of a directory and returns its path.
func TarDir(t testing.TB, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "archive.tar")
	f, err := os.Create(file)
	require.NoError(t, err)
	w := tar.NewWriter(f)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return file
}

// ServeRegistry starts a registry and returns its host. If between is not nil, it handles every request.
func ServeRegistry(t testing.TB, between func(w http.ResponseWriter, r *http.Request, next http.Handler)) string {
	t.Helper()
	handler := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	if between == nil {
		between = func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { between(w, r, handler) }))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Push uploads an image or index to a registry.
func Push(t testing.TB, ref string, what any) {
	t.Helper()
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	switch w := what.(type) {
	case v1.ImageIndex:
		require.NoError(t, remote.WriteIndex(r, w))
	case v1.Image:
		require.NoError(t, remote.Write(r, w))
	}
}

// HelloLayer returns a layer with a program at /app/hello.
func HelloLayer(t testing.TB, content string) v1.Layer {
	return Layer(t, File{Name: "app/hello", Text: content, Mode: 0o755})
}

// LayerWithDiffID is a layer with a given diffID.
type LayerWithDiffID struct {
	v1.Layer
	ID v1.Hash
}

// DiffID implements v1.Layer.
func (s LayerWithDiffID) DiffID() (v1.Hash, error) { return s.ID, nil }

// Attested returns an index of an image and an attestation in the format of BuildKit.
func Attested(t testing.TB, img v1.Image, subject v1.Hash) v1.ImageIndex {
	statement := static.NewLayer([]byte(`{"_type":"https://in-toto.io/Statement/v1"}`), "application/vnd.in-toto+json")
	proof := Image(t, "unknown/unknown", func(c *v1.ConfigFile) { c.Config = v1.Config{} }, statement)
	index := Index(t, Child{"linux/amd64", img})
	return mutate.AppendManifests(index, mutate.IndexAddendum{Add: proof, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{
			"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject.String(),
		},
	}})
}

// BlobFile returns the path of a blob in a layout.
func BlobFile(dir string, h string) string {
	return filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(h, "sha256:"))
}

// IndentedManifest is an image with an indented manifest.
type IndentedManifest struct{ v1.Image }

// RawManifest implements v1.Image.
func (i IndentedManifest) RawManifest() ([]byte, error) {
	raw, err := i.Image.RawManifest()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, raw, "", "   ")
	return out.Bytes(), err
}

// Digest implements v1.Image.
func (i IndentedManifest) Digest() (v1.Hash, error) {
	d, err := Describe(i)
	return d.Digest, err
}

// Size implements v1.Image.
func (i IndentedManifest) Size() (int64, error) {
	d, err := Describe(i)
	return d.Size, err
}
