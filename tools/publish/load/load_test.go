package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/publish/load"
)

// host is the platform of this machine, for which the fixture builds images.
var host = func() arch.Platform {
	if runtime.GOARCH == "arm" {
		return contenttest.ARMv7
	}
	return arch.Platform{OS: "linux", Architecture: runtime.GOARCH}
}()

func foreign() arch.Platform {
	if host == contenttest.ARM64 {
		return contenttest.AMD64
	}
	return contenttest.ARM64
}

// record is a program that writes its arguments and its input to files.
const record = `echo "$@" >> args; cat > "input.$(wc -l < args)"; echo loaded`

func lines(t testing.TB, dir string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "args"))
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

func TestLoadIntoDocker(t *testing.T) {
	dir := contenttest.FakeProgram(t, "docker", record)
	hello, py := contenttest.Service(t, "hello", nil, foreign(), host), contenttest.Service(t, "py-app", nil, host)
	var output bytes.Buffer
	done, err := load.Loader{
		Output:     &output,
		References: map[string][]string{"py-app": {"onap/py-app:v1"}},
	}.Load(t.Context(), []content.Image{py, hello})
	require.NoError(t, err)
	assert.Equal(t, load.Result{
		Program:    filepath.Join(dir, "docker"),
		References: []string{"onap/py-app:v1", "hello:latest"},
	}, done)
	assert.Equal(t, "loaded\n", output.String())
	assert.Equal(t, []string{"load"}, lines(t, dir), "all images at once")

	path := filepath.Join(dir, "input.1")
	list, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, digestOfConfig(t, contenttest.ChildOf(t, hello, host)), list[0].Config)
}

func digestOfConfig(t testing.TB, img v1.Image) string {
	t.Helper()
	h, err := img.ConfigName()
	require.NoError(t, err)
	return h.String()
}

func TestLoadIntoContainerd(t *testing.T) {
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64)
	for _, c := range []struct {
		program  string
		platform arch.Platform
		args     string
		holds    int
	}{
		{"nerdctl", arch.Platform{}, "load --all-platforms", 2},
		{"nerdctl", contenttest.ARM64, "load --platform=linux/arm64", 1},
		{"ctr", arch.Platform{}, "images import --all-platforms -", 2},
		{"ctr", contenttest.ARM64, "images import --platform=linux/arm64 -", 1},
	} {
		t.Run(c.args, func(t *testing.T) {
			dir := contenttest.FakeProgram(t, c.program, record)
			_, err := load.Loader{Engine: c.program, Platform: c.platform}.Load(t.Context(), []content.Image{hello})
			require.NoError(t, err)
			assert.Equal(t, []string{c.args}, lines(t, dir))
			archive, err := os.ReadFile(filepath.Join(dir, "input.1"))
			require.NoError(t, err)
			layout := unpack(t, archive)
			contenttest.RequireLayout(t, layout, "hello")
			configs, err := filepath.Glob(filepath.Join(layout, "blobs", "sha256", "*"))
			require.NoError(t, err)
			assert.Len(t, configs, map[int]int{1: 3, 2: 7}[c.holds])
		})
	}
}

func TestLoadErrors(t *testing.T) {
	hello := contenttest.Service(t, "hello", []v1.Layer{contenttest.NewLayer(t, "base", 1_000_000)}, host)
	try := func(l load.Loader) error {
		_, err := l.Load(t.Context(), []content.Image{hello})
		return err
	}
	t.Run("unknown", func(t *testing.T) {
		var unknown *load.UnknownEngineError
		require.ErrorAs(t, try(load.Loader{Engine: "dokcer"}), &unknown)
		assert.Contains(t, unknown.Hint(), `did you mean "docker"?`)
	})
	t.Run("missing", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		var missing *load.MissingEngineError
		require.ErrorAs(t, try(load.Loader{}), &missing)
		assert.EqualError(t, missing, "no container engine found on PATH: tried docker, podman, nerdctl, ctr")
		require.ErrorAs(t, try(load.Loader{Engine: "podman"}), &missing)
		assert.Equal(t, []string{"podman"}, missing.Programs)
		assert.Contains(t, missing.Hint(), "multiarch archive")
	})
	t.Run("fails without reading", func(t *testing.T) {
		dir := contenttest.FakeProgram(t, "docker", "echo cannot connect to the daemon >&2; exit 3")
		var failed *load.Error
		require.ErrorAs(t, try(load.Loader{}), &failed)
		assert.EqualError(t, failed, filepath.Join(dir, "docker")+": exit status 3: cannot connect to the daemon")
		var exit *exec.ExitError
		require.ErrorAs(t, failed, &exit)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "ctr"), []byte("#!/bin/sh\n"), 0o755))
		assert.Contains(t, failed.Hint(), "ctr")
	})
	t.Run("reads a part and is content", func(t *testing.T) {
		contenttest.FakeProgram(t, "docker", "head -c 1000 > /dev/null")
		require.NoError(t, try(load.Loader{}))
	})
	t.Run("no such platform", func(t *testing.T) {
		dir := contenttest.FakeProgram(t, "docker", record)
		var platform *content.PlatformError
		require.ErrorAs(t, try(load.Loader{Platform: arch.Platform{OS: "linux", Architecture: "s390x"}}), &platform)
		assert.NoFileExists(t, filepath.Join(dir, "args"), "the program is not started")
	})
	t.Run("a broken layer", func(t *testing.T) {
		contenttest.FakeProgram(t, "docker", "cat > /dev/null")
		broken := contenttest.NewLayer(t, "broken", 5000)
		broken.Read = func() io.ReadCloser { return io.NopCloser(strings.NewReader("short")) }
		_, err := load.Loader{}.Load(t.Context(), []content.Image{contenttest.Service(t, "bad", []v1.Layer{broken}, host)})
		require.ErrorContains(t, err, "bad, "+host.String()+": layer 1: the content ends after 5 of")
	})
	t.Run("stopped", func(t *testing.T) {
		contenttest.FakeProgram(t, "docker", "trap 'exit 1' INT; cat > /dev/null; while :; do sleep 0.05; done")
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := load.Loader{}.Load(ctx, []content.Image{hello})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestLoadIntoPodman(t *testing.T) {
	contenttest.RequireTool(t, "podman")
	dir := t.TempDir()
	conf := filepath.Join(dir, "storage.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n",
		filepath.Join(dir, "graph"), filepath.Join(dir, "run")), 0o644))
	t.Setenv("CONTAINERS_STORAGE_CONF", conf)

	hello, py := contenttest.Service(t, "hello", []v1.Layer{contenttest.NewLayer(t, "base", 50_000)}, foreign(), host),
		contenttest.Service(t, "py-app", nil, host, foreign())
	type inspected struct {
		Architecture, Digest string
		RepoTags             []string
	}
	inspect := func(reference string) inspected {
		var seen []inspected
		require.NoError(t, json.Unmarshal(contenttest.Output(t, "podman", "image", "inspect", reference), &seen))
		require.Len(t, seen, 1)
		return seen[0]
	}

	done, err := load.Loader{
		Engine:     "podman",
		References: map[string][]string{"py-app": {"registry.example.com/onap/py-app:v1", "py-app:v2"}},
	}.
		Load(t.Context(), []content.Image{hello, py})
	require.NoError(t, err)
	assert.Equal(t, []string{"hello:latest", "registry.example.com/onap/py-app:v1", "py-app:v2"}, done.References)
	assert.Equal(t, inspected{host.Architecture, contenttest.DigestOf(t, contenttest.ChildOf(t, hello, host)).String(),
		[]string{"docker.io/library/hello:latest"}}, inspect("docker.io/library/hello:latest"))
	seen := inspect("registry.example.com/onap/py-app:v1")
	assert.Equal(t, contenttest.DigestOf(t, contenttest.ChildOf(t, py, host)).String(), seen.Digest)
	assert.ElementsMatch(t, []string{"registry.example.com/onap/py-app:v1", "docker.io/library/py-app:v2"}, seen.RepoTags)

	_, err = load.Loader{Engine: "podman", Platform: foreign()}.Load(t.Context(), []content.Image{hello})
	require.NoError(t, err)
	assert.Equal(t, foreign().Architecture, inspect("docker.io/library/hello:latest").Architecture)
}
