package pipeline_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/pipeline"
)

var update = flag.Bool("update", false, "accept what is written now")

func options(t testing.TB) pipeline.Options {
	var all []arch.Platform
	for _, name := range []string{"linux/amd64", "linux/386", "linux/arm64", "linux/arm/v7", "linux/s390x"} {
		p, err := arch.Parse(name)
		require.NoError(t, err)
		all = append(all, p)
	}
	return pipeline.Options{
		Images: []pipeline.Image{
			{Name: "hello", Platforms: all, Smoke: true},
			{Name: "py-app", Platforms: all[:3], Smoke: true},
			{Name: "tool", Platforms: all},
			{Name: "legacy", Smoke: true}, // joined from what was built elsewhere
			{Name: "old"},
		},
		Registries: []string{"ghcr.io", "registry.example.com"}, Lock: true,
		Multiarch: "go tool multiarch", Bazelisk: "go run github.com/bazelbuild/bazelisk@v1.28.1", Package: "images",
		GoVersion: "1.26", Command: "github", Check: "github",
	}
}

// TestGoVersion: no pipeline takes the latest Go there is.
func TestGoVersion(t *testing.T) {
	for _, system := range pipeline.Systems() {
		o := options(t)
		o.System, o.Engine, o.GoVersion = system, pipeline.Embedded, ""
		text, err := pipeline.Write(o)
		if system == pipeline.GitLab {
			require.ErrorContains(t, err, "names a version of Go")
			continue
		}
		require.NoError(t, err)
		assert.NotRegexp(t, `golang|go-version:`, string(text))
		assert.Equal(t, system == pipeline.GitHub, strings.Contains(string(text), "go-version-file: go.mod"))
	}
}

// TestGolden compares the pipelines with testdata. To accept them: go test ./tools/pipeline -update
func TestGolden(t *testing.T) {
	for _, system := range pipeline.Systems() {
		for _, engine := range []pipeline.Engine{pipeline.Embedded, pipeline.Bazel} {
			for form, split := range map[string]bool{"single": false, "split": true} {
				name := string(system) + "_" + string(engine) + "_" + form
				t.Run(name, func(t *testing.T) {
					o := options(t)
					o.System, o.Engine, o.Split, o.Command, o.Check = system, engine, split, string(system), string(system)
					got, err := pipeline.Write(o)
					require.NoError(t, err)
					golden := filepath.Join("testdata", name)
					if *update {
						require.NoError(t, os.MkdirAll("testdata", 0o755))
						require.NoError(t, os.WriteFile(golden, got, 0o644))
					}
					want, err := os.ReadFile(golden)
					require.NoError(t, err, "to accept what is written now: go test ./tools/pipeline -update")
					assert.Equal(t, string(want), string(got), "to accept what is written now: go test ./tools/pipeline -update")
					assert.NotContains(t, string(got), "[[")
					for _, line := range strings.Split(string(got), "\n") {
						assert.Equal(t, strings.TrimRight(line, " "), line, "blanks at the end of a line")
					}
				})
			}
		}
	}
}
