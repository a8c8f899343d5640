package image_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func layerOf(t *testing.T, content string) image.Layer {
	t.Helper()
	var out bytes.Buffer
	d, err := layer.Write(t.Context(), &out, []layer.Entry{layer.NewFile("/x", 0o644, []byte(content))},
		layer.Options{})
	require.NoError(t, err)
	return image.Layer{Descriptor: d, CreatedBy: "test " + content, Blob: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(out.Bytes())), nil
	}}
}

var settings = image.Settings{
	Entrypoint: []string{"/x"}, Cmd: []string{"a"}, Env: []string{"A=b"}, User: "65532", Workdir: "/w",
	Ports:   []string{"80/tcp", "53/udp"},
	Volumes: []string{"/data"}, Labels: map[string]string{"l": "v"}, StopSignal: "SIGINT", Created: time.Unix(0,
		0).UTC(),
}

func TestNew(t *testing.T) {
	p := arch.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
	img, err := image.New(p, settings, nil, []image.Layer{layerOf(t, "one"), layerOf(t, "two")},
		map[string]string{"a": "b"})
	require.NoError(t, err)
	require.NoError(t, validate.Image(img))
	config, err := img.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "linux/arm/v6", config.OS+"/"+config.Architecture+"/"+config.Variant)
	assert.Equal(t, v1.Config{
		Entrypoint: []string{"/x"}, Cmd: []string{"a"}, Env: []string{"A=b"}, User: "65532", WorkingDir: "/w",
		ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}}, Volumes: map[string]struct{}{"/data": {}},
		Labels: map[string]string{"l": "v"}, StopSignal: "SIGINT",
	}, config.Config)
	assert.Len(t, config.History, 2, "one entry per layer")
	manifest, err := img.Manifest()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "b"}, manifest.Annotations)
	assert.Equal(t, types.OCIManifestSchema1, manifest.MediaType)
	assert.Equal(t, types.OCIConfigJSON, manifest.Config.MediaType)
}

// TestBytesAreStable pins the exact form: the keys, their order, and no timestamps.
func TestBytesAreStable(t *testing.T) {
	config, err := image.Config(arch.Platform{OS: "linux", Architecture: "s390x"},
		image.Settings{Created: time.Unix(0, 0).UTC()}, nil, nil)
	require.NoError(t, err)
	assert.Equal(t,
		`{"architecture":"s390x","created":"1970-01-01T00:00:00Z","os":"linux","rootfs":{"type":"layers","diff_ids":[]},`+
			`"config":{}}`, string(config))
	manifest, err := image.Manifest(config, nil, nil)
	require.NoError(t, err)
	assert.Equal(t,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
			`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":123,"digest":"sha256:`,
		string(manifest)[:169])
}

func TestIndex(t *testing.T) {
	var children []image.Child
	for _, name := range []string{"linux/arm64", "linux/amd64"} {
		p, err := arch.Parse(name)
		require.NoError(t, err)
		img, err := image.New(p, settings, nil, []image.Layer{layerOf(t, "shared"), layerOf(t, name)}, nil)
		require.NoError(t, err)
		children = append(children, image.Child{Platform: p, Image: img})
	}
	index, err := image.Index(children, map[string]string{"a": "b"})
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, "arm64", manifest.Manifests[0].Platform.Architecture, "the order is kept")
	assert.Empty(t, manifest.Manifests[0].Platform.Variant)

	raw, err := index.RawManifest()
	require.NoError(t, err)
	var parsed v1.IndexManifest
	require.NoError(t, json.Unmarshal(raw, &parsed))
	assert.Equal(t, *manifest, parsed, "the parsed manifest equals the written one")

	one, err := image.Index(children[:1], nil)
	require.NoError(t, err)
	mediaType, err := one.MediaType()
	require.NoError(t, err)
	assert.Equal(t, types.OCIImageIndex, mediaType, "a single child still makes an index")

	_, err = image.Index(nil, nil)
	assert.ErrorContains(t, err, "at least one")
	_, err = image.Index([]image.Child{children[0], children[0]}, nil)
	assert.ErrorContains(t, err, "duplicate images for linux/arm64")
	h := v1.Hash{Algorithm: "sha256", Hex: "00"}
	_, err = index.Image(h)
	assert.Error(t, err)
	_, err = index.ImageIndex(h)
	assert.Error(t, err)
}

func TestImagesInheritFromBase(t *testing.T) {
	under := layerOf(t, "base")
	base := &image.BaseConfig{ConfigFile: v1.ConfigFile{
		OS: "windows", OSVersion: "10.0.20348.1", OSFeatures: []string{"win32k"}, Author: "somebody", Container: "x",
		RootFS:  v1.RootFS{DiffIDs: []v1.Hash{under.DiffID}},
		History: []v1.History{{CreatedBy: "COPY"}, {CreatedBy: "ENV", EmptyLayer: true}},
		Config: v1.Config{
			Entrypoint: []string{"/base"}, Cmd: []string{"base"}, Env: []string{"PATH=/bin", "A=base"},
			User: "base", WorkingDir: "/base",
			ExposedPorts: map[string]struct{}{"1/tcp": {}}, Labels: map[string]string{"b": "b", "l": "b"},
			Hostname:    "h",
			Healthcheck: &v1.HealthConfig{Test: []string{"NONE"}}, OnBuild: []string{"RUN x"},
		},
	}}
	before := image.BaseConfig{ConfigFile: *base.DeepCopy()}
	p := arch.Platform{OS: "windows", Architecture: "amd64"}
	img, err := image.New(p, settings, base, []image.Layer{under, layerOf(t, "own")}, nil)
	require.NoError(t, err)
	require.NoError(t, validate.Image(img))
	config, err := img.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, v1.Config{
		Entrypoint: []string{"/x"}, Cmd: []string{"a"}, Env: []string{"PATH=/bin", "A=b"}, User: "65532",
		WorkingDir:   `C:\w`,
		ExposedPorts: map[string]struct{}{"1/tcp": {}, "80/tcp": {}, "53/udp": {}},
		Volumes:      map[string]struct{}{`C:\data`: {}},
		Labels:       map[string]string{"b": "b", "l": "v"}, StopSignal: "SIGINT",
		Healthcheck: &v1.HealthConfig{Test: []string{"NONE"}},
	}, config.Config)
	assert.Equal(t, "10.0.20348.1", config.OSVersion)
	assert.Empty(t, config.Author+config.Container)
	assert.Equal(t, []string{"COPY", "ENV", "test own"}, createdBy(config))
	assert.Equal(t, before, *base, "the base is not modified")

	index, err := image.Index([]image.Child{{Platform: p, Image: img}}, nil)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, "10.0.20348.1", manifest.Manifests[0].Platform.OSVersion)
	assert.Equal(t, []string{"win32k"}, manifest.Manifests[0].Platform.OSFeatures)

	for name, c := range map[string]struct {
		settings        image.Settings
		entrypoint, cmd []string
	}{
		"all is the base's":                  {image.Settings{}, []string{"/base"}, []string{"base"}},
		"arguments for the base's program":   {image.Settings{Cmd: []string{"a"}}, []string{"/base"}, []string{"a"}},
		"another program, without arguments": {image.Settings{Entrypoint: []string{"/x"}}, []string{"/x"}, nil},
		"no program":                         {image.Settings{Entrypoint: []string{}}, []string{}, nil},
	} {
		raw, err := image.Config(p, c.settings, base, []image.Layer{under})
		require.NoError(t, err)
		var config v1.ConfigFile
		require.NoError(t, json.Unmarshal(raw, &config))
		assert.ElementsMatch(t, c.entrypoint, config.Config.Entrypoint, name)
		assert.Equal(t, c.cmd, config.Config.Cmd, name)
		assert.Equal(t, []string{"COPY", "ENV"}, createdBy(&config))
	}

	base.History = base.History[1:]
	raw, err := image.Config(p, image.Settings{}, base, []image.Layer{under})
	require.NoError(t, err)
	var counted v1.ConfigFile
	require.NoError(t, json.Unmarshal(raw, &counted))
	assert.Equal(t, []string{"test base"}, createdBy(&counted), "a history with fewer entries than layers")
}

func createdBy(c *v1.ConfigFile) []string {
	var all []string
	for _, h := range c.History {
		all = append(all, h.CreatedBy)
	}
	return all
}
