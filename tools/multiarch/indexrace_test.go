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
// registry and in a layout.
func TestParallelChangesOfAnIndexAreMerged(t *testing.T) {
	skipShort(t)
	rounds := map[int]int{2: 1} // by the number of processes
	if testmatrix.Full() {
		rounds = map[int]int{2: 12, 3: 3, 4: 3}
	}
	cases := 0
	for _, kind := range append(registrytest.Kinds(), "layout") {
		t.Run(kind, func(t *testing.T) {
			images := registrytest.Start(t, "go-containerregistry").Host
			targets, dir := images, t.TempDir()
			if kind != "layout" {
				images = registrytest.Start(t, kind).Host
				targets = images
			}
			pushRaced(t, images)
			target := func(what string, n, round int) string {
				if kind == "layout" {
					return fmt.Sprintf("oci:%s:%s-%d-%d", filepath.Join(dir, "layout"), what, n, round)
				}
				return fmt.Sprintf("%s/%s-%d:round-%d", targets, what, n, round)
			}
			source := func(platform string) string { return images + "/image:" + filepath.Base(platform) }
			for n := 2; n <= len(raced); n++ {
				for round := range rounds[n] {
					cases += 2
					var create, mixed [][]string
					for _, p := range raced[:n] {
						create = append(create, []string{"--append", "--create", target("create", n, round), source(p)})
						mixed = append(mixed, []string{"--append", target("mixed", n, round), source(p)})
					}
					together(t, dir, create...)
					assert.Equal(t, raced[:n], platformsOf(t, target("create", n, round)))

					together(t, dir, []string{target("mixed", n, round), source("linux/ppc64le")})
					mixed[0] = []string{"--append", "--remove", "linux/ppc64le", target("mixed", n, round), source(raced[0])}
					together(t, dir, mixed...)
					assert.Equal(t, raced[:n], platformsOf(t, target("mixed", n, round)))
				}
			}
		})
	}
	t.Logf("%d cases", cases)
	require.Positive(t, cases)
}

// Other processes may replace the entry, but must not lose it.
func TestParallelReplacements(t *testing.T) {
	skipShort(t)
	host := registrytest.Start(t, "go-containerregistry").Host
	pushRaced(t, host)
	dir := t.TempDir()
	target := host + "/target"
	together(t, dir, []string{target, host + "/image:arm64=linux/amd64", host + "/image:s390x=linux/arm64"})
	together(t, dir,
		[]string{"--append", "--replace", target, host + "/image:amd64"},
		[]string{"--append", "--replace", target, host + "/image:riscv64=linux/amd64"},
		[]string{"--append", "--replace", target, host + "/image:arm64"})
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
