package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// actionInputs writes an image with a script at /run.sh, like the actions of the rules, and returns the flags for it.
func actionInputs(t *testing.T) (dir string, args []string) {
	dir = t.TempDir()
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	const script = "#!/bin/sh\n"
	require.NoError(t, w.WriteHeader(&tar.Header{
		Name:     "run.sh",
		Mode:     0o755,
		Size:     int64(len(script)),
		Typeflag: tar.TypeReg,
	}))
	_, err := w.Write([]byte(script))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	layer := static.NewLayer(content.Bytes(), types.OCIUncompressedLayer)
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Config: v1.Config{Entrypoint: []string{"/run.sh"}},
		RootFS: v1.RootFS{Type: "layers"},
	})
	require.NoError(t, err)
	img, err = mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1),
		types.OCIConfigJSON), layer)
	require.NoError(t, err)

	write := func(name string, content []byte, err error) string {
		require.NoError(t, err)
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, content, 0o644))
		return file
	}
	writeJSON := func(name string, v any) string {
		raw, err := json.Marshal(v)
		return write(name, raw, err)
	}
	descriptor, err := partial.Descriptor(img)
	require.NoError(t, err)
	digest, err := layer.Digest()
	require.NoError(t, err)
	manifest, err := img.RawManifest()
	manifestFile := write("manifest.json", manifest, err)
	config, err := img.RawConfigFile()
	configFile := write("config.json", config, err)
	return dir, []string{
		"-image=run", "-descriptor", writeJSON("descriptor.json", descriptor), "-manifest", manifestFile,
		"-config", configFile,
		"-layer", writeJSON("layer.json", map[string]any{"digest": digest}),
		"-blob", write("layer.tar", content.Bytes(), nil),
		"-out", filepath.Join(dir, "verified"),
	}
}

func TestRunFailsForAProblemThatIsNotAllowed(t *testing.T) {
	dir, args := actionInputs(t)
	var stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), args, &stderr))
	assert.Contains(t, stderr.String(), "multiarch: image run: linux/amd64: layer 1 ")
	assert.Contains(t, stderr.String(), ": /run.sh: its #! line names /bin/sh, which the image does not have\n"+
		"hint: correct it, or permit it for this image with allow = [\"missing-interpreter\"]\n")
	assert.NoFileExists(t, filepath.Join(dir, "verified"))

	assert.Equal(t, 0, run(t.Context(), append(args, "-allow", "missing-interpreter"), &stderr))
	assert.FileExists(t, filepath.Join(dir, "verified"))
}

func TestRunFindsDamage(t *testing.T) {
	dir, args := actionInputs(t)
	file := filepath.Join(dir, "layer.tar")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	content[600] ^= 1
	require.NoError(t, os.WriteFile(file, content, 0o644))
	var stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), append(args, "-allow", "missing-interpreter"), &stderr))
	assert.Contains(t, stderr.String(), "the digest of the blob is sha256:")
}

func TestRunRefusesFlagsThatRulesDoNotGive(t *testing.T) {
	_, args := actionInputs(t)
	for name, wrong := range map[string][]string{
		"an unknown kind":     append(args, "-allow", "everything"),
		"a layer but no blob": append(args, "-layer", args[len(args)-5]),
		"no manifest":         args[:3],
	} {
		var stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), wrong, &stderr), name)
		assert.NotEmpty(t, stderr.String(), name)
	}
}
