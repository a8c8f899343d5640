package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWheels builds an image with a wheel and a binary per platform, selected by placeholders. Every image has only its
// own. If the wheel of one platform is missing, nothing is built.
func TestWheels(t *testing.T) {
	t.Parallel()
	s := services{t.TempDir(), t.TempDir()}
	s.write(t, "multiarch.yaml", `version: 1
platforms: [linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v5, linux/s390x]
images:
  service:
    files:
      - {from: "wheels/{os}-{arch}{variant}", to: /usr/lib/python3/dist-packages}
      - {from: "bin/tool-{arch}{variant}", to: /usr/bin/tool, mode: "0755"}
`)
	machines := map[string]string{
		"amd64": "x86_64",
		"arm64": "aarch64",
		"armv7": "armv7l",
		"armv5": "armv5l",
		"s390x": "s390x",
	}
	for word, machine := range machines {
		s.write(t, "wheels/linux-"+word+"/markupsafe/_speedups.cpython-313-"+machine+"-linux-gnu.so", "speedups for "+machine)
		s.write(t, "wheels/linux-"+word+"/markupsafe/__init__.py", "")
		s.write(t, "bin/tool-"+word, "tool for "+machine)
	}
	out, err := s.command("build", "-q").CombinedOutput()
	require.NoError(t, err, string(out))

	path, err := layout.FromPath(filepath.Join(s.dir, "dist"))
	require.NoError(t, err)
	top, err := path.ImageIndex()
	require.NoError(t, err)
	listed, err := top.IndexManifest()
	require.NoError(t, err)
	require.Len(t, listed.Manifests, 1)
	index, err := top.ImageIndex(listed.Manifests[0].Digest)
	require.NoError(t, err)
	children, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, children.Manifests, len(machines))
	for _, d := range children.Manifests {
		img, err := index.Image(d.Digest)
		require.NoError(t, err)
		machine := machines[d.Platform.Architecture+strings.TrimPrefix(d.Platform.Variant, "v8")]
		require.NotEmpty(t, machine, d.Platform)
		const packages = "usr/lib/python3/dist-packages/markupsafe/"
		files := filesOf(t, img)
		assert.Equal(t, map[string]string{
			packages + "_speedups.cpython-313-" + machine + "-linux-gnu.so": "speedups for " + machine,
			packages + "__init__.py": "",
			"usr/bin/tool":           "tool for " + machine,
		}, files, d.Platform)
	}

	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "dist")))
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "wheels/linux-armv5")))
	out, err = s.command("build", "-q").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, exitConfig, exit.ExitCode())
	assert.Contains(t, string(out), "images.service.files[0].from: wheels/linux-armv5 does not exist\n"+
		"hint: wheels has linux-amd64, linux-arm64, linux-armv7, linux-s390x; from: is relative to the source tree")
	assert.NoDirExists(t, filepath.Join(s.dir, "dist"))
}

// filesOf returns the regular files below /usr in an image.
func filesOf(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	content := mutate.Extract(img)
	defer content.Close()
	files := map[string]string{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		if name := strings.TrimPrefix(h.Name, "/"); h.Typeflag == tar.TypeReg && strings.HasPrefix(name, "usr/") &&
			!strings.Contains(name, "zoneinfo") {
			raw, err := io.ReadAll(r)
			require.NoError(t, err)
			files[name] = string(raw)
		}
	}
}
