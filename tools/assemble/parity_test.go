package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSettingsMatchEmbeddedEngine covers settings that have a different form in the rules and in multiarch.yaml.
func TestSettingsMatchEmbeddedEngine(t *testing.T) {
	for name, c := range map[string]struct {
		yaml     string // of the image
		settings string // what the rules write for it
		entries  []string
	}{
		"environment in order": {
			"env: {A: x, A1: y, A_: z}", `{"settings":{"env":["A=x","A1=y","A_=z"],"created":"1970-01-01T00:00:00Z"}}`,
			[]string{entry("etc/a", "/x/a")},
		},
		"a time in another zone": {
			"created: 2026-01-01T02:00:00+02:00", `{"settings":{"created":"2026-01-01T02:00:00+02:00"}}`,
			[]string{entry("etc/a", "/x/a")},
		},
		"a port without a protocol": {
			"ports: [8080, 53/udp]", `{"settings":{"ports":["53/udp","8080"],"created":"1970-01-01T00:00:00Z"}}`,
			[]string{entry("etc/a", "/x/a")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			want := w.embedded("version: 1\nplatforms: [linux/amd64]\nimages:\n  hello:\n    base: scratch\n" +
				"    files: [{from: etc/a, to: /x/a}]\n    " + c.yaml + "\n")
			assert.Equal(t, onlyImage(t, want).String(), w.image(c.settings, c.entries...).String())
		})
	}
}

// image assembles an image with one layer of files and returns the digest of its manifest.
func (w actionDir) image(settings string, entries ...string) v1.Hash {
	w.Helper()
	w.write("settings", settings)
	w.must(append([]string{"layer", "-content", "files", "-blob", "blob", "-descriptor", "blob.json"}, entries...)...)
	w.must("image", "-platform", "linux/amd64", "-settings", "settings", "-layer", "blob.json", "-manifest", "manifest",
		"-config", "config", "-descriptor", "descriptor")
	content, err := os.ReadFile("descriptor")
	require.NoError(w, err)
	var d v1.Descriptor
	require.NoError(w, json.Unmarshal(content, &d))
	return d.Digest
}

func onlyImage(t *testing.T, index v1.ImageIndex) v1.Hash {
	t.Helper()
	m, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, m.Manifests, 1)
	return m.Manifests[0].Digest
}

// TestTreesMatchEmbeddedEngine adds file by file, as the rules do, what the embedded engine adds as a directory.
func TestTreesMatchEmbeddedEngine(t *testing.T) {
	const owned = `"uid":65532,"gid":65532`
	for name, c := range map[string]struct {
		file, yaml string
		entries    []string
	}{
		"nested": {"tree/a/b/f", "{from: tree, to: /opt}", []string{entry("tree/a/b/f", "/opt/a/b/f")}},
		"owned": {"tree/sub/f", "{from: tree, to: /data, owner: 65532}",
			[]string{
				`-entry={"path":"/data","dir":true,` + owned + `}`, `-entry={"path":"/data/sub","dir":true,` + owned + `}`,
				`-entry={"path":"/data/sub/f","from":"tree/sub/f",` + owned + `}`,
			}},
		"tmp": {"tree/tmp/f", "{from: tree, to: /}", []string{entry("tree/tmp/f", "/tmp/f")}},
		"bin": {"tree/bin/f", "{from: tree, to: /}", []string{entry("tree/bin/f", "/bin/f")}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			w.write(filepath.FromSlash(c.file), "x")
			want := w.embedded("version: 1\nplatforms: [linux/amd64]\nimages:\n  hello:\n    base: scratch\n    files: [" +
				c.yaml + "]\n")
			assert.Equal(t, onlyImage(t, want).String(),
				w.image(`{"settings":{"created":"1970-01-01T00:00:00Z"}}`, c.entries...).String())
		})
	}
}

// TestFailureKeepsPreviousOutputs fails while a layer is being written over an existing one.
func TestFailureKeepsPreviousOutputs(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		from string
		want string
	}{
		"cancelled": {cancelled, "etc/a", "canceled"},
		// The file's size differs from its content, which is noticed only while reading.
		"changed": {t.Context(), "/proc/self/status", "changed while it was read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newActionDir(t)
			if runtime.GOOS != "linux" && strings.HasPrefix(c.from, "/") {
				t.Skip(c.from + " exists only on Linux")
			}
			w.write("blob", "previous")
			before, err := os.ReadDir(".")
			require.NoError(t, err)
			var stderr bytes.Buffer
			args := []string{
				"layer", "-image", "hello", "-content", "files", "-blob", "blob", "-descriptor", "descriptor", entry(c.from, "/x"),
			}
			assert.Equal(t, 1, run(c.ctx, args, &stderr))
			assert.Contains(t, stderr.String(), "multiarch: image hello: ")
			assert.Contains(t, stderr.String(), c.want)
			after, err := os.ReadDir(".")
			require.NoError(t, err)
			assert.Len(t, after, len(before))
			kept, err := os.ReadFile("blob")
			require.NoError(t, err)
			assert.Equal(t, "previous", string(kept))
		})
	}
}

func TestIncompleteLayoutFails(t *testing.T) {
	w := newActionDir(t)
	w.image(`{"settings":{}}`, entry("etc/a", "/x"))
	w.must("index", "-image", "hello", "-index", "index", "-descriptor", "top", "-digest", "digest",
		"--", "-platform", "linux/amd64", "-settings", "settings", "-layer", "blob.json", "-manifest", "manifest",
		"-config", "config", "-descriptor", "descriptor")
	code, stderr := w.run("layout", "-name", "hello", "-out", "out", "-root", "top", "-index", "index")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "image hello: index: missing image sha256:")
	assert.Contains(t, stderr, "(linux/amd64)")
	code, stderr = w.run("layout", "-name", "hello", "-out", "out", "-root", "descriptor", "-child", "descriptor",
		"-manifest", "manifest", "-config", "config")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "image hello: manifest: missing blob of layer sha256:")
	assert.NoFileExists(t, "out/index.json", "index.json must be written last")
}

func TestTagErrors(t *testing.T) {
	for template, want := range map[string][]string{
		"v{{.Git.Tag}}": {
			`template "v{{.Git.Tag}}": the workspace status has no STABLE_GIT_TAG`, "--workspace_status_command",
		},
		"t{{.Git.CommitTime}}":  {"the workspace status has no STABLE_GIT_COMMIT_TIME"},
		"{{.Git.Dirty}}":        {"the workspace status has no STABLE_GIT_DIRTY"},
		"{{.Git.Branch}}":       {`template "{{.Git.Branch}}": invalid tag "feature/x"`, "hint: use up to 128 letters"},
		"-{{.Git.ShortCommit}}": {`invalid tag "-0123456"`, "do not start with"},
		"{{.Env.VERSION}}":      {"uses .Env, which Bazel actions do not support", "hint: use .Image"},
		"x-{{.Registry}}":       {"uses .Registry"},
	} {
		t.Run(template, func(t *testing.T) {
			w := newActionDir(t)
			w.write("status", "STABLE_GIT_COMMIT 0123456789abcdef0123456789abcdef01234567\nSTABLE_GIT_BRANCH feature/x\n")
			code, stderr := w.run("tags", "-image", "hello", "-status", "status", "-out-tags", "tags",
				"-out-references", "references", "-template", template)
			assert.Equal(t, 1, code)
			assert.Contains(t, stderr, "multiarch: image hello: ")
			for _, text := range want {
				assert.Contains(t, stderr, text)
			}
			assert.NoFileExists(t, "tags")
		})
	}
}

func TestConflictingEntriesNameBothFiles(t *testing.T) {
	w := newActionDir(t)
	code, stderr := w.run("layer", "-image", "hello", "-content", "files", "-blob", "blob", "-descriptor", "descriptor",
		entry("etc/a", "/x"), executableEntry("etc/run", "/x"))
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "image hello: two different entries for /x: etc/a, a file of 2 bytes")
	assert.Contains(t, stderr, " and etc/run, a file of 10 bytes with mode 0755")
}
