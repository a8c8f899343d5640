package release_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Forms of repositories and mirrors in a configuration.
var (
	configuredRegistries = []string{
		"", "prod.example.com", "prod.example.com/team", "prod.example.com:5000/team/sub", "localhost:5000",
		"127.0.0.1:5000/x", "onap", "docker.io/onap",
	}
	configuredMirrors = []string{
		"mirror.example.com", "mirror.example.com/deep/er", "prod.example.com/team/mirror", "localhost:5001/m",
	}
	configuredNames = []string{
		"", "hello", "onap/hello", "a/b/c", "prod.example.com/hello", "prod.example.com/team/hello", "docker.io/onap/hello",
		"docker.io/library/hello",
		"index.docker.io/onap/hello", "localhost/hello", "localhost:5000/hello", "127.0.0.1:5000/x/hello",
		"ghcr.io/onap/hello", "mirror.example.com/deep/er/hello", "trial.example.com/x/hello",
	}
	configuredSingles = []string{
		"", "{{.Repository}}-{{.Platform.Official}}", "{{.Registry}}/{{.Platform.Official}}/{{.Image}}",
		"{{.Image}}-{{.Platform.Official}}",
		"onap/{{.Image}}-{{.Platform.Official}}", "prod.example.com/{{.Platform.Official}}/{{.Image}}",
		"docker.io/onap/{{.Image}}-{{.Platform.Official}}", "localhost:5000/{{.Image}}-{{.Platform.Official}}",
	}
	trials = []string{
		"trial.example.com", "trial.example.com/x", "prod.example.com/trial", "prod.example.com/team", "localhost:5000/trial",
		"onap", "docker.io/onap", "mirror.example.com",
	}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// configuration writes a random multiarch.yaml.
func configuration(r *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintln(&b, "version: 1\nplatforms: [linux/amd64, linux/arm64]")
	if registry := pick(r, configuredRegistries); registry != "" {
		fmt.Fprintf(&b, "registry: %q\n", registry)
	}
	if r.IntN(2) == 0 {
		n := r.IntN(len(configuredMirrors))
		fmt.Fprintf(&b, "mirrors: [%q, %q]\n", configuredMirrors[n], configuredMirrors[(n+1)%len(configuredMirrors)])
	}
	fmt.Fprintln(&b, "images:")
	for _, image := range []string{"api", "worker"} {
		fmt.Fprintf(&b, "  %s:\n    base: scratch\n    files: [{from: f, to: /}]\n    push:\n      tags: [%s]\n", image,
			image)
		var repositories []string
		for range 1 + r.IntN(3) {
			if repository := pick(r, configuredNames); repository != "" {
				repositories = append(repositories, fmt.Sprintf("%q", repository))
			}
		}
		if len(repositories) > 0 {
			fmt.Fprintf(&b, "      repository: [%s]\n", strings.Join(repositories, ", "))
		}
		if single := pick(r, configuredSingles); single != "" {
			fmt.Fprintf(&b, "      per_platform: %q\n", single)
		}
	}
	return b.String()
}

// TestRegistryConfinesEverything plans random configurations, in all forms of repositories and mirrors, for another
// registry, as both engines do: nothing may be published outside it, and nothing may be lost.
func TestRegistryConfinesEverything(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	cases, references := 0, 0
	for range 600 {
		text := configuration(random)
		c, err := config.Parse("multiarch.yaml", []byte(text))
		if err != nil {
			continue // two images or mirrors collide
		}
		trial := pick(random, trials)
		place, err := name.NewRepository(trial + "/image")
		require.NoError(t, err)
		below := strings.TrimSuffix(place.Name(), "image")
		check := func(targets []push.Target) {
			r := &release.Release{Registry: trial, Targets: targets}
			require.NoError(t, r.CheckConfined(), "%s\n%s", trial, text)
			for _, target := range targets {
				all := []string{target.Repository + ":latest"}
				for _, one := range target.PerPlatform {
					all = append(all, one.Reference)
				}
				for _, reference := range all {
					ref, err := name.ParseReference(reference)
					require.NoError(t, err, text)
					require.True(t, strings.HasPrefix(ref.Name(), below), "%s is outside %s:\n%s", ref.Name(), trial, text)
					references++
				}
			}
		}
		p, err := plan.New(c, plan.Options{Registry: trial})
		require.NoError(t, err, text)
		embedded, err := release.Targets(c, p, config.Vars{}, release.TagOptions{})
		require.NoError(t, err, text)
		check(embedded)

		// Bazel builds targets for the configuration's own registry, or without a registry.
		own, err := plan.New(c, plan.Options{})
		require.NoError(t, err, text)
		built, err := release.Targets(c, own, config.Vars{}, release.TagOptions{})
		if c.Registry == "" && err != nil {
			cases++
			continue // a template uses the registry, which is only set with --registry
		}
		require.NoError(t, err, text)
		var bazel, firsts []push.Target
		for _, target := range built {
			if len(firsts) > 0 && firsts[len(firsts)-1].Name == target.Name {
				continue // Bazel knows the first repository of each image
			}
			firsts = append(firsts, target)
			everywhere, err := release.Destinations(c, target, trial)
			require.NoError(t, err, text)
			bazel = append(bazel, everywhere...)
		}
		check(bazel)
		require.Equal(t, places(embedded), places(bazel), "both engines publish in the same places: %s\n%s", trial, text)
		check(release.NewHandwritten(firsts, trial).Targets)

		for _, i := range p.Images {
			require.Len(t, i.Push.Redirected, len(c.Repositories(i.Name, c.Registry)), "every repository has a place")
		}
		cases++
	}
	t.Logf("%d configurations, %d references", cases, references)
	assert.Greater(t, cases, 300)
}

func places(targets []push.Target) (all []string) {
	for _, t := range targets {
		all = append(all, t.Repository)
		for _, one := range t.PerPlatform {
			all = append(all, one.Reference)
		}
	}
	return all
}

func TestCheckConfined(t *testing.T) {
	check := func(registry string, target push.Target) error {
		return (&release.Release{Registry: registry, Targets: []push.Target{target}}).CheckConfined()
	}
	for _, outside := range []string{
		"prod.example.com/x", "trial.example.com/team-b/x", "trial.example.com/teamx", "trial.example.com/team/../prod/x",
		"x", "team/x", "trial.example.com:5000/team/x",
	} {
		assert.Error(t, check("trial.example.com/team", push.Target{Name: "x", Repository: outside}), outside)
		single := []push.PlatformTag{{Reference: outside + ":v1"}}
		assert.Error(t, check("trial.example.com/team", push.Target{
			Repository:  "trial.example.com/team/x",
			PerPlatform: single,
		}), outside)
	}
	assert.NoError(t, check("trial.example.com/team", push.Target{Repository: "trial.example.com/team/x"}))
	assert.NoError(t, check("onap", push.Target{Repository: "docker.io/onap/x"}))
	assert.NoError(t, check("", push.Target{Repository: "docker.io/onap/x"}))
}

// TestImagesThatWouldShareARepository checks that images keep their hosts if their repositories would be the same in
// another registry, so that a trial of a valid configuration does not fail.
func TestImagesThatWouldShareARepository(t *testing.T) {
	c, err := config.Parse("multiarch.yaml", []byte(`version: 1
platforms: [linux/amd64]
images:
  one: {base: scratch, files: [{from: f, to: /}], push: {repository: a.example.com:5000/team/app}}
  two: {base: scratch, files: [{from: f, to: /}], push: {repository: "b.example.com/team/app"}}
  three: {base: scratch, files: [{from: f, to: /}]}
`))
	require.NoError(t, err)
	assert.Equal(t, []config.Redirection{{
		From: "a.example.com:5000/team/app",
		To:   "trial.example.com/a.example.com-5000/team/app",
	}}, c.Redirect("one", "trial.example.com"))
	assert.Equal(t, []config.Redirection{{From: "b.example.com/team/app", To: "trial.example.com/b.example.com/team/app"}},
		c.Redirect("two", "trial.example.com"))
	assert.Equal(t, []config.Redirection{{From: "three", To: "trial.example.com/three"}},
		c.Redirect("three", "trial.example.com"))
}

// TestPrebuiltWithoutConfiguration redirects targets that were written by hand.
func TestPrebuiltWithoutConfiguration(t *testing.T) {
	dir := t.TempDir()
	l, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	require.NoError(t, err)
	index, err := random.Index(10, 1, 1)
	require.NoError(t, err)
	require.NoError(t, l.AppendIndex(index))
	tags := filepath.Join(dir, "tags")
	require.NoError(t, os.WriteFile(tags, []byte("v1\n"), 0o644))
	raw, err := json.Marshal(map[string]any{"targets": []map[string]string{
		{"name": "one", "repository": "prod.example.com/team/one", "layout": string(l), "tags": tags},
		{"name": "two", "layout": string(l), "tags": tags},
	}})
	require.NoError(t, err)
	file := filepath.Join(dir, "prebuilt.json")
	require.NoError(t, os.WriteFile(file, raw, 0o644))
	built, err := release.ReadPrebuilt(file, nil)
	require.NoError(t, err)
	targets, err := built.PushTargets(release.TagOptions{}, "trial.example.com")
	require.NoError(t, err)
	r := release.NewHandwritten(targets, "trial.example.com")
	assert.Equal(t, []string{"trial.example.com/team/one", "trial.example.com/two"}, places(r.Targets))

	_, err = built.PushTargets(release.TagOptions{}, "")
	assert.Equal(t, fault.Usage, fault.ClassOf(err))
}
