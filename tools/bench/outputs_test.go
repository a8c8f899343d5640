package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// made is a fake of outputs.
type made []string

func (m made) digests() (map[string]bool, error) {
	all := map[string]bool{}
	for _, d := range m {
		all[d] = true
	}
	return all, nil
}

func (m made) programs() (map[string]bool, error) { return m.digests() }

// TestRefereeReportsMissingWork covers peers that build too little or nothing new.
func TestRefereeReportsMissingWork(t *testing.T) {
	one := &tree{services: 2, platforms: make([]platform, 2)}
	p := &peer{name: "peer"}
	var r referee
	check := func(edited bool, digests ...string) error {
		p.outputs = made(digests)
		return r.check(p, one, scenario{edited: edited})
	}
	assert.ErrorContains(t, check(false, "a", "b", "c"), "built 3 outputs")
	assert.ErrorContains(t, check(false, "a", "b", "c", "c"), "built 3 outputs")
	require.NoError(t, check(true, "a", "b", "c", "d"), "all outputs are new the first time")
	require.NoError(t, check(false, "d", "c", "b", "a"))
	assert.ErrorContains(t, check(true, "a", "b", "c", "d"), "expected 2 new outputs, got 0")
	assert.ErrorContains(t, check(false, "A", "B", "c", "d"), "expected 0 new outputs, got 2")
	require.NoError(t, check(true, "A", "B", "c", "d"))
}

func TestSameWork(t *testing.T) {
	us, other := &peer{name: "us", outputs: made{"a", "b"}}, &peer{name: "other", outputs: made{"b", "a"}}
	assert.NoError(t, sameWork([]*peer{us, other}))
	other.outputs = made{"a", "c"}
	assert.ErrorContains(t, sameWork([]*peer{us, other}), "us and other compile different programs")
}

// TestProgramsInImages expects the same programs in a directory and in a layout.
func TestProgramsInImages(t *testing.T) {
	top := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(top, name), []byte(content), 0o755))
	}
	write("out/linux_arm64/svc1", "one")
	write("out/linux_s390x/svc1", "another")
	in := func(files ...string) v1.Image {
		image := empty.Image
		for _, f := range files {
			name, content, _ := strings.Cut(f, "=")
			layer, err := crane.Layer(map[string][]byte{name: []byte(content)})
			require.NoError(t, err)
			image, err = mutate.AppendLayers(image, layer)
			require.NoError(t, err)
		}
		return image
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: in("etc/passwd=root", "app/svc1=one")},
		mutate.IndexAddendum{Add: in("etc/passwd=root", "app/svc1=another")})
	path, err := layout.Write(filepath.Join(top, "dist"), empty.Index)
	require.NoError(t, err)
	require.NoError(t, path.AppendIndex(index))

	bare, err := folders(filepath.Join(top, "out")).programs()
	require.NoError(t, err)
	assert.Len(t, bare, 2)
	imaged, err := images(path).programs()
	require.NoError(t, err)
	assert.Equal(t, bare, imaged)
	digests, err := images(path).digests()
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(digests)), []string{
		manifest.Manifests[0].Digest.String(), manifest.Manifests[1].Digest.String(),
	})

	_, err = images(filepath.Join(top, "nowhere")).programs()
	assert.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, path.AppendIndex(mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: empty.Image})))
	_, err = images(path).programs()
	assert.ErrorContains(t, err, "has no layers")
}
