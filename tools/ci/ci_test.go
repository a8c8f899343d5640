package ci_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/ci"
)

var update = flag.Bool("update", false, "update the golden files")

func options(t testing.TB) ci.Options {
	var all []arch.Platform
	for _, name := range []string{"linux/amd64", "linux/386", "linux/arm64", "linux/arm/v7", "linux/s390x"} {
		p, err := arch.Parse(name)
		require.NoError(t, err)
		all = append(all, p)
	}
	return ci.Options{
		Images: []ci.Image{
			{Name: "hello", Platforms: all, Smoke: true},
			{Name: "py-app", Platforms: all[:3], Smoke: true},
			{Name: "tool", Platforms: all},
			{Name: "legacy", Smoke: true}, // joins existing images
			{Name: "old"},
		},
		Registries: []string{"ghcr.io", "registry.example.com"}, Lock: true,
		Multiarch: "go tool multiarch", Bazelisk: "go run github.com/bazelbuild/bazelisk@v1.28.1", Package: "images",
		GoVersion: "1.26", Command: "github", Check: "github",
	}
}

// TestGoVersion checks that no pipeline uses the latest Go implicitly.
func TestGoVersion(t *testing.T) {
	for _, system := range ci.Systems() {
		o := options(t)
		o.System, o.Engine, o.GoVersion = system, ci.Embedded, ""
		text, err := ci.Write(o)
		if system == ci.GitLab {
			require.ErrorContains(t, err, "requires a Go version")
			continue
		}
		require.NoError(t, err)
		assert.NotRegexp(t, `golang|go-version:`, string(text))
		assert.Equal(t, system == ci.GitHub, strings.Contains(string(text), "go-version-file: go.mod"))
	}
}

// TestGolden compares the pipelines with testdata. To update it: go test ./tools/ci -update
func TestGolden(t *testing.T) {
	for _, system := range ci.Systems() {
		for _, engine := range []ci.Engine{ci.Embedded, ci.Bazel} {
			for form, split := range map[string]bool{"single": false, "split": true} {
				name := string(system) + "_" + string(engine) + "_" + form
				t.Run(name, func(t *testing.T) {
					o := options(t)
					o.System, o.Engine, o.Split, o.Command, o.Check = system, engine, split, string(system), string(system)
					got, err := ci.Write(o)
					require.NoError(t, err)
					golden := filepath.Join("testdata", name)
					if *update {
						require.NoError(t, os.MkdirAll("testdata", 0o755))
						require.NoError(t, os.WriteFile(golden, got, 0o644))
					}
					want, err := os.ReadFile(golden)
					require.NoError(t, err, "to update: go test ./tools/ci -update")
					assert.Equal(t, string(want), string(got), "to update: go test ./tools/ci -update")
					assert.NotContains(t, string(got), "[[")
					for _, line := range strings.Split(string(got), "\n") {
						assert.Equal(t, strings.TrimRight(line, " "), line, "trailing spaces")
					}
				})
			}
		}
	}
}
