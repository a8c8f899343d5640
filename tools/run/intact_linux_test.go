package run_test

import (
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/run"
)

// changed is an image whose content does not match some of its digests.
type changed struct {
	v1.Image
	layers func([]v1.Layer) []v1.Layer
	config func([]byte) []byte
}

func (c changed) Layers() ([]v1.Layer, error) {
	layers, err := c.Image.Layers()
	if c.layers != nil {
		layers = c.layers(layers)
	}
	return layers, err
}

func (c changed) RawConfigFile() ([]byte, error) {
	raw, err := c.Image.RawConfigFile()
	if c.config != nil {
		raw = c.config(raw)
	}
	return raw, err
}

func TestStartRefusesBytesThatTheImageDoesNotName(t *testing.T) {
	p := platform(t, "linux/amd64")
	img := image(t, v1.Config{Cmd: []string{"x"}}, layer(t, text("etc/a", 0o644, "right")),
		layer(t, text("etc/b", 0o644, "second")))
	other := layer(t, text("etc/a", 0o644, "wrong"))
	for name, c := range map[string]struct {
		image v1.Image
		want  string
	}{
		"a swapped layer": {changed{Image: img, layers: func(l []v1.Layer) []v1.Layer {
			return []v1.Layer{other, l[1]}
		}}, "unpacking layer 1 of 2: "},
		"two layers the wrong way round": {changed{Image: img, layers: func(l []v1.Layer) []v1.Layer {
			return []v1.Layer{l[1], l[0]}
		}}, "unpacking layer 1 of 2: "},
		"a truncated layer": {changed{Image: img, layers: func(l []v1.Layer) []v1.Layer {
			return []v1.Layer{l[0], static.NewLayer([]byte("short"), types.OCIUncompressedLayer)}
		}}, "unpacking layer 2 of 2: blob has 5 bytes, but the manifest lists "},
		"a missing layer": {changed{Image: img, layers: func(l []v1.Layer) []v1.Layer {
			return l[:1]
		}}, "diffIDs"},
		"another config": {changed{Image: img, config: func(raw []byte) []byte {
			return append(raw, ' ')
		}}, "config has digest sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			t.Setenv("TMPDIR", temporary)
			_, err := run.Start(t.Context(), run.Options{Image: c.image, Platform: p})
			require.ErrorContains(t, err, c.want)
			var damaged *run.DamagedError
			require.ErrorAs(t, err, &damaged)
			left, err := os.ReadDir(temporary)
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}
