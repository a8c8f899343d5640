package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// actionDir is a working directory with input files, in which commands run like actions.
type actionDir struct {
	*testing.T
	dir string
}

func newActionDir(t *testing.T) actionDir {
	w := actionDir{t, t.TempDir()}
	t.Chdir(w.dir)
	for name, content := range map[string]string{
		"etc/a":     "a\n",
		"etc/sub/b": "b\n",
		"etc/run":   "#!/bin/sh\n",
		"etc/.dot":  "",
	} {
		w.write(name, content)
	}
	require.NoError(t, os.Chmod("etc/run", 0o755))
	return w
}

func (w actionDir) write(name, content string) {
	w.Helper()
	require.NoError(w, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(w, os.WriteFile(name, []byte(content), 0o644))
}

func (w actionDir) read(name string) string {
	w.Helper()
	content, err := os.ReadFile(name)
	require.NoError(w, err)
	return string(content)
}

func (w actionDir) json(name string, v any) {
	w.Helper()
	content, err := json.Marshal(v)
	require.NoError(w, err)
	w.write(name, string(content))
}

// run runs a command and returns its exit code and stderr.
func (w actionDir) run(args ...string) (int, string) {
	var stderr bytes.Buffer
	code := run(w.Context(), args, &stderr)
	return code, stderr.String()
}

func (w actionDir) must(args ...string) {
	w.Helper()
	code, stderr := w.run(args...)
	require.Zero(w, code, stderr)
	require.Empty(w, stderr)
}

func entry(from, to string) string {
	return fmt.Sprintf(`-entry={"path":%q,"from":%q}`, to, from)
}

func executableEntry(from, to string) string {
	return fmt.Sprintf(`-entry={"path":%q,"from":%q,"mode":493}`, to, from)
}

// embedded returns the index that the embedded engine builds from a configuration with one image.
func (w actionDir) embedded(text string) v1.ImageIndex {
	w.Helper()
	c, err := config.Parse("multiarch.yaml", []byte(text))
	require.NoError(w, err)
	p, err := plan.New(c, plan.Options{})
	require.NoError(w, err)
	store, err := cache.Open(w.TempDir())
	require.NoError(w, err)
	results, err := build.Run(w.Context(), p, build.Options{Dir: w.dir, Store: store})
	require.NoError(w, err)
	require.Len(w, results, 1)
	return results[0].Index
}

// TestImageMatchesEmbeddedEngine builds the same image with the commands that the rules run and with the embedded
// engine.
func TestImageMatchesEmbeddedEngine(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd"} {
		for _, base := range []string{"static", "scratch"} {
			t.Run(compression+" "+base, func(t *testing.T) {
				w := newActionDir(t)
				platforms := []string{"linux/amd64", "linux/arm/v7"}
				if base == "scratch" {
					platforms = append(platforms, "windows/amd64")
				}
				want := w.embedded(fmt.Sprintf(`
version: 1
platforms: [%s]
images:
  hello:
    base: %s
    compression: %s
    files: [{from: etc, to: /etc/hello}, {from: etc/a, to: /opt/a}]
    entrypoint: [/etc/hello/run]
    cmd: [x]
    env: {B: "2", A: "1"}
    user: "65532"
    ports: [8080/tcp]
    labels: {l: v}
    annotations: {n: m}
    overrides: {linux/arm/v7: {env: {B: "3"}, annotations: {o: p}}}
`, strings.Join(platforms, ", "), base, compression))

				var children, layoutArgs []string
				alone := map[string]string{} // the manifests of images built without an index
				seen := map[string]bool{}
				layerArgs := func(file string) {
					if !seen[file] {
						seen[file] = true
						layoutArgs = append(layoutArgs, "-layer", file+".json", "-blob", file+".blob")
					}
				}
				if base == "static" {
					w.must("layer", "-content", "static", "-compression", compression, "-blob", "static.blob",
						"-descriptor", "static.json")
				}
				for _, platform := range platforms {
					p, err := arch.Parse(platform)
					require.NoError(t, err)
					out := p.Slug()
					w.must("layer", "-content", "files", "-compression", compression, "-os", p.OS, "-blob", out+".files.blob",
						"-descriptor", out+".files.json",
						entry("etc/sub/b", "/etc/hello/sub/b"), executableEntry("etc/run", "/etc/hello/run"),
						entry("etc/a", "/etc/hello/a"), entry("etc/.dot", "/etc/hello/.dot"), entry("etc/a", "/opt/a"))
					env, annotations := []string{"A=1", "B=2"}, map[string]string{"n": "m"}
					if platform == "linux/arm/v7" {
						env, annotations = []string{"A=1", "B=3"}, map[string]string{"n": "m", "o": "p"}
					}
					of := settingsFile{Settings: image.Settings{
						Entrypoint: []string{"/etc/hello/run"}, Cmd: []string{"x"}, Env: env, User: "65532", Ports: []string{"8080/tcp"},
						Labels: map[string]string{"l": "v"},
					}, Annotations: annotations}
					content, err := json.Marshal(of)
					require.NoError(t, err)
					w.write(out+".settings.json", strings.Replace(string(content), "0001-01-01", "1970-01-01", 1))
					args := []string{
						"-platform", platform, "-settings", out + ".settings.json", "-manifest", out + ".manifest",
						"-config", out + ".config", "-descriptor", out + ".descriptor",
					}
					if base == "static" {
						args = append(args, "-layer", "static.json")
						layerArgs("static")
					}
					args = append(args, "-layer", out+".files.json")
					layerArgs(out + ".files")
					children = with([]string{"--"}, with(args, children...)...) // the index sorts them

					w.must(with([]string{"image"}, args...)...)
					alone[out] = w.read(out + ".manifest")
					require.NoError(t, os.Remove(out+".manifest"))
					layoutArgs = append(layoutArgs, "-child", out+".descriptor", "-manifest", out+".manifest",
						"-config", out+".config")
				}
				w.json("annotations.json", map[string]string{"n": "m"})
				w.must(append([]string{"index", "-image", "hello", "-annotations", "annotations.json", "-index", "index.json",
					"-descriptor", "index.descriptor", "-digest", "digest"}, children...)...)
				for out, manifest := range alone {
					assert.Equal(t, manifest, w.read(out+".manifest"))
				}
				wanted, err := want.Digest()
				require.NoError(t, err)
				assert.Equal(t, wanted.String()+"\n", w.read("digest"))

				// go-containerregistry does not decompress zstd.
				var depth []validate.Option
				if compression == "zstd" {
					depth = append(depth, validate.Fast)
				}

				// Arguments may come in a file.
				w.write("params", strings.Join(layoutArgs, "\n")+"\n")
				w.must("layout", "-name", "hello", "-out", "out", "-root", "index.descriptor", "-index", "index.json", "@params")
				written, err := layout.ImageIndexFromPath("out")
				require.NoError(t, err)
				require.NoError(t, validate.Index(written, depth...))
				top, err := written.IndexManifest()
				require.NoError(t, err)
				require.Len(t, top.Manifests, 1)
				assert.Equal(t, wanted, top.Manifests[0].Digest)
				assert.Equal(t, "hello", top.Manifests[0].Annotations["org.opencontainers.image.ref.name"])
				w.requireLinks("out")

				// A layout of one image.
				w.must(append([]string{"layout", "-name", "hello", "-out", "one", "-root", "linux_amd64.descriptor"},
					layoutArgs...)...)
				one, err := layout.ImageIndexFromPath("one")
				require.NoError(t, err)
				require.NoError(t, validate.Index(one, depth...))
			})
		}
	}
}

// requireLinks requires that a layout contains the layers as hard links.
func (w actionDir) requireLinks(dir string) {
	w.Helper()
	blobs, err := filepath.Glob("*.blob")
	require.NoError(w, err)
	require.NotEmpty(w, blobs)
	linked := 0
	written, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	require.NoError(w, err)
	for _, name := range written {
		in, err := os.Stat(name)
		require.NoError(w, err)
		if slices.ContainsFunc(blobs, func(blob string) bool {
			of, err := os.Stat(blob)
			return err == nil && os.SameFile(in, of)
		}) {
			linked++
		}
	}
	assert.Positive(w, linked)
}

func TestLayerAcceptsScriptsAndEqualEntries(t *testing.T) {
	w := newActionDir(t)
	w.write("arm", "\x7fELF\x01\x01\x01"+strings.Repeat("\x00", 9)+"\x02\x00\x28\x00"+strings.Repeat("\x00", 100))
	for _, file := range []string{"arm", "etc/run"} {
		w.must("layer", "-image", "hello", "-platform", "linux/arm/v7", "-content", "program", "-blob", "blob",
			"-descriptor", "descriptor",
			fmt.Sprintf(`-entry={"path":"/app/hello","from":%q,"binary":true}`, file))
	}
	w.must("layer", "-content", "files", "-blob", "blob", "-descriptor", "descriptor", entry("etc/a", "/x"),
		entry("etc/a", "/x"))
}

func TestTags(t *testing.T) {
	w := newActionDir(t)
	w.write("status",
		"STABLE_GIT_COMMIT 0123456789abcdef0123456789abcdef01234567\nSTABLE_GIT_TAG v1.2.3\nSTABLE_GIT_BRANCH a branch\n")
	w.must("tags", "-image", "hello", "-repository", "localhost:5000/hello", "-platform", "linux/arm64",
		"-status", "status", "-out-tags", "tags", "-out-references", "references",
		"-template", "latest", "-template", "{{.Git.ShortCommit}}", "-template", "{{.Git.Tag}}-{{.Platform.Official}}")
	tags, err := os.ReadFile("tags")
	require.NoError(t, err)
	assert.Equal(t, "latest\n0123456\nv1.2.3-arm64v8\n", string(tags))
	references, err := os.ReadFile("references")
	require.NoError(t, err)
	assert.Equal(t, "localhost:5000/hello:latest\nlocalhost:5000/hello:0123456\nlocalhost:5000/hello:v1.2.3-arm64v8\n",
		string(references))
}

// TestWorker sends several requests to one process, one of which fails.
func TestWorker(t *testing.T) {
	w := newActionDir(t)
	w.write("params", strings.Join([]string{"layer", "-content", "files", "-blob", "blob", "-descriptor", "blob.json",
		entry("etc/a", "/x")}, "\n")+"\n")
	w.must("@params")
	blob := w.read("blob")
	w.write("wrong", "layer\n-what\n")
	var responses strings.Builder
	require.NoError(t,
		work(t.Context(),
			strings.NewReader(`{"arguments":["@wrong"],"inputs":[{"path":"wrong","digest":"eA=="}],"requestId":0}
{"arguments":["@params"],"verbosity":10}{"arguments":["@params"],"requestId":3}`), &responses))
	var all []workResponse
	for d := json.NewDecoder(strings.NewReader(responses.String())); d.More(); {
		var r workResponse
		require.NoError(t, d.Decode(&r))
		all = append(all, r)
	}
	require.Len(t, all, 3)
	assert.Equal(t, 2, all[0].ExitCode)
	assert.Contains(t, all[0].Output, "multiarch: layer: ")
	assert.Equal(t, []workResponse{{0, "", 0}, {0, "", 3}}, all[1:])
	assert.Equal(t, blob, w.read("blob"), "the output must not depend on earlier requests")
	assert.ErrorContains(t, work(t.Context(), strings.NewReader("{"), &responses), "reading a work request")
}

func TestStatus(t *testing.T) {
	w := newActionDir(t)
	w.write("status",
		"BUILD_USER alice\nSTABLE_GIT_COMMIT 01234\nSTABLE_GIT_BRANCH \nSTABLE_HOST here\nSTABLE_GIT_TAG v1 of it\n")
	w.must("status", "-from", "status", "-out", "git")
	assert.Equal(t, "STABLE_GIT_COMMIT 01234\nSTABLE_GIT_BRANCH \nSTABLE_GIT_TAG v1 of it\n", w.read("git"))
	code, stderr := w.run("status", "-from", "nowhere", "-out", "git")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "nowhere")
}

func TestCreatedIsCommitTime(t *testing.T) {
	w := newActionDir(t)
	w.write("settings", `{"settings":{"created":"1970-01-01T00:00:00Z"}}`)
	image := []string{
		"image", "-platform", "linux/amd64", "-settings", "settings", "-manifest", "manifest", "-config", "config",
		"-descriptor", "descriptor", "-commit-time-from", "status",
	}
	w.write("status", "STABLE_GIT_COMMIT_TIME 2026-01-02T03:04:05Z\n")
	w.must(image...)
	config, err := os.ReadFile("config")
	require.NoError(t, err)
	assert.Contains(t, string(config), `"created":"2026-01-02T03:04:05Z"`)
	w.write("status", "")
	code, stderr := w.run(image...)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "the workspace status has no STABLE_GIT_COMMIT_TIME")
}
