package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/registry/registrytest"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// raced are the platforms that processes add at the same time.
var raced = []string{"linux/amd64", "linux/arm64", "linux/s390x", "linux/riscv64"}

// pushRaced pushes an image for each platform, such as HOST/image:arm64.
func pushRaced(t *testing.T, host string) {
	t.Helper()
	for _, platform := range append(raced, "linux/ppc64le") {
		p, err := v1.ParsePlatform(platform)
		require.NoError(t, err)
		img, err := mutate.ConfigFile(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON),
			types.OCIManifestSchema1),
			&v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, RootFS: v1.RootFS{Type: "layers"}})
		require.NoError(t, err)
		ref, err := name.ParseReference(host + "/image:" + p.Architecture)
		require.NoError(t, err)
		require.NoError(t, remote.Write(ref, img))
	}
}

// together runs commands concurrently and requires that all succeed.
func together(t *testing.T, dir string, commands ...[]string) {
	t.Helper()
	var group sync.WaitGroup
	for _, args := range commands {
		group.Go(func() {
			cmd := exec.Command("multiarch", append([]string{"index", "create"}, args...)...)
			cmd.Dir = dir
			var output bytes.Buffer
			cmd.Stdout, cmd.Stderr = &output, &output
			assert.NoError(t, cmd.Run(), "%s\n%s", strings.Join(args, " "), &output)
		})
	}
	group.Wait()
}

// platformsOf returns the platforms of an index.
func platformsOf(t *testing.T, ref string) []string {
	t.Helper()
	s, err := source.Open(t.Context(), registry.Client{}, ref)
	if !assert.NoError(t, err) {
		return nil
	}
	defer s.Close()
	list, err := s.Index.IndexManifest()
	require.NoError(t, err)
	var all []string
	for _, d := range list.Manifests {
		all = append(all, d.Platform.String())
	}
	return all
}

// TestParallelChangesOfAnIndexAreMerged has several processes change one index at the same time, in every kind of
// registry.
func TestParallelChangesOfAnIndexAreMerged(t *testing.T) {
	skipShort(t)
	rounds := map[int]int{2: 1} // by the number of processes
	if testmatrix.Full() {
		rounds = map[int]int{2: 1, 3: 1, 4: 1}
	}
	for _, kind := range registrytest.Kinds() {
		t.Run(kind, func(t *testing.T) {
			registry, dir := registrytest.Start(t, kind).Host, t.TempDir()
			pushRaced(t, registry)
			for n := 2; n <= len(raced); n++ {
				for round := range rounds[n] {
					created, mixed := fmt.Sprintf("/created-%d:round-%d", n, round), fmt.Sprintf("/mixed-%d:round-%d", n, round)
					var create, mix []func(string) []string
					for i, p := range raced[:n] {
						image := "/image:" + filepath.Base(p)
						create = append(create, func(host string) []string {
							return []string{"--append", "--create", host + created, host + image}
						})
						mix = append(mix, func(host string) []string {
							args := []string{"--append", host + mixed, host + image}
							if i == 0 {
								args = append(args, "--remove", "linux/ppc64le")
							}
							return args
						})
					}
					contend(t, dir, registry, create...)
					assert.Equal(t, raced[:n], platformsOf(t, registry+created))

					together(t, dir, []string{registry + mixed, registry + "/image:ppc64le"})
					contend(t, dir, registry, mix...)
					assert.Equal(t, raced[:n], platformsOf(t, registry+mixed))
				}
			}
		})
	}
}

// TestParallelChangesOfALayoutAreMerged has several processes change one index in a layout, which they lock.
func TestParallelChangesOfALayoutAreMerged(t *testing.T) {
	skipShort(t)
	images, dir := registrytest.Start(t, "go-containerregistry").Host, t.TempDir()
	pushRaced(t, images)
	for round := range 3 {
		target := fmt.Sprintf("oci:%s:round-%d", filepath.Join(dir, "layout"), round)
		var create [][]string
		for _, p := range raced {
			create = append(create, []string{"--append", "--create", target, images + "/image:" + filepath.Base(p)})
		}
		together(t, dir, create...)
		assert.Equal(t, raced, platformsOf(t, target))
	}
}

// Other processes may replace the entry, but must not lose it.
func TestParallelReplacements(t *testing.T) {
	skipShort(t)
	host := registrytest.Start(t, "go-containerregistry").Host
	pushRaced(t, host)
	dir := t.TempDir()
	target := host + "/target"
	together(t, dir, []string{target, host + "/image:arm64=linux/amd64", host + "/image:s390x=linux/arm64"})
	replace := func(image string) func(host string) []string {
		return func(host string) []string { return []string{"--append", "--replace", host + "/target", host + image} }
	}
	contend(t, dir, host, replace("/image:amd64"), replace("/image:riscv64=linux/amd64"), replace("/image:arm64"))
	s, err := source.Open(t.Context(), registry.Client{}, target)
	require.NoError(t, err)
	list, err := s.Index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, list.Manifests, 2)
	digest := func(tag string) v1.Hash {
		one, err := source.Open(t.Context(), registry.Client{}, host+"/image:"+tag)
		require.NoError(t, err)
		return one.Root.Digest
	}
	assert.Contains(t, []v1.Hash{digest("amd64"), digest("riscv64")}, list.Manifests[0].Digest)
	assert.Equal(t, digest("arm64"), list.Manifests[1].Digest)
}

// TestIndexContentInEveryRegistry runs the scripts of index create with every kind of registry.
func TestIndexContentInEveryRegistry(t *testing.T) {
	testmatrix.SkipUnlessFull(t, "repeats what TestScripts does")
	for _, kind := range registrytest.Kinds()[1:] { // TestScripts runs it with the first
		t.Run(kind, func(t *testing.T) {
			host := registrytest.Start(t, kind).Host
			params := scriptParams(t, func(*testscript.Env) string { return host })
			var err error
			params.Files, err = filepath.Glob("testdata/script/index*.txtar")
			require.NoError(t, err)
			// Scripts run in parallel, after this function has returned; the registry ends with the test.
			t.Run("scripts", func(t *testing.T) { testscript.Run(t, params) })
		})
	}
}
