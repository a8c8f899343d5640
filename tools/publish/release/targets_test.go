package release_test

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

func planOf(t *testing.T, text string) (*config.Config, *plan.Plan) {
	t.Helper()
	c, err := config.Parse("multiarch.yaml", []byte(text))
	require.NoError(t, err)
	p, err := plan.New(c, plan.Options{})
	require.NoError(t, err)
	return c, p
}

const two = `version: 1
registry: registry.example.com/team
platforms: [linux/amd64, linux/arm64]
images:
  api:
    base: scratch
    files: [{from: f, to: /}]
    push:
      repository: [api, mirror.example.com/api]
      tags: ["{{.Env.VERSION}}", "{{.Env.EMPTY}}"]
      per_platform: "{{.Repository}}-{{.Platform.Official}}"
  web:
    base: scratch
    files: [{from: f, to: /}]
    push: {tags: [latest]}
`

func TestTargetsExpandTagsAndRepositories(t *testing.T) {
	c, p := planOf(t, two)
	var notes int
	vars := config.Vars{Env: map[string]string{"VERSION": "v1", "EMPTY": ""}}
	targets, err := release.Targets(c, p, vars, release.TagOptions{
		KeepPlatforms: true,
		Note:          func(string, ...any) { notes++ },
	})
	require.NoError(t, err)
	assert.Equal(t, 1, notes, "of the tag that is empty")
	assert.Equal(t, []string{
		"registry.example.com/team/api", "registry.example.com/team/api-amd64:v1", "registry.example.com/team/api-arm64v8:v1",
		"mirror.example.com/api", "mirror.example.com/api-amd64:v1", "mirror.example.com/api-arm64v8:v1",
		"registry.example.com/team/web",
	}, places(targets))
	assert.Equal(t, []string{"v1"}, targets[0].Tags)
	assert.True(t, targets[0].KeepPlatforms)
	assert.Equal(t, map[string][]string{
		"api": {"registry.example.com/team/api:v1"}, "web": {"registry.example.com/team/web:latest"},
	}, release.References(targets))

	assert.Equal(t, []string{"registry.example.com/team/api", "registry.example.com/team/web"},
		places(release.Parts(targets)))

	given, err := release.Targets(c, p, config.Vars{}, release.TagOptions{Tags: []string{"x"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"x"}, given[0].Tags)
}

func TestTargetsReportTemplatesWithPosition(t *testing.T) {
	c, p := planOf(t, two)
	_, err := release.Targets(c, p, config.Vars{}, release.TagOptions{})
	require.ErrorContains(t, err, "multiarch.yaml:")
	assert.Equal(t, fault.Config, fault.ClassOf(err))
}

func TestCheckRegistriesTagsAndNames(t *testing.T) {
	c, p := planOf(t, two)
	require.NoError(t, release.CheckRegistries(p))
	_, local := planOf(t, "version: 1\nplatforms: [linux/amd64]\nimages: {a: {base: scratch, files: [{from: f, to: /}]}}")
	assert.Equal(t, fault.Usage, fault.ClassOf(release.CheckRegistries(local)))

	assert.Equal(t, fault.Usage, fault.ClassOf(release.CheckTagged([]push.Target{{Name: "a"}})))
	assert.NoError(t, release.CheckTagged([]push.Target{{Name: "a", Tags: []string{"v1"}}}))

	same := []push.Target{
		{
			Name:       "api",
			Repository: "r.example.com/x",
			Tags:       []string{"v1"},
		}, {Name: "web", Repository: "r.example.com/x", Tags: []string{"v1"}},
	}
	assert.Equal(t, fault.Config, fault.ClassOf(release.CheckDistinct(c, same, false)))
	assert.Equal(t, fault.Usage, fault.ClassOf(release.CheckDistinct(c, same, true)))
	assert.NoError(t, release.CheckDistinct(c, same[:1], false))
}

func TestFillLeavesItsArgumentAlone(t *testing.T) {
	targets := []push.Target{{Name: "api"}, {Name: "web"}}
	filled := release.Fill(targets, map[string]v1.ImageIndex{"api": empty.Index}, nil)
	assert.Equal(t, empty.Index, filled[0].Index)
	assert.Nil(t, filled[1].Index)
	assert.Nil(t, targets[0].Index)
}

func TestFixedTags(t *testing.T) {
	c, p := planOf(t, two)
	assert.Equal(t, []string{"web"}, release.FixedTags(c, p))
}

func TestMetadataIsByImageAndRepository(t *testing.T) {
	r := &release.Release{
		Targets: []push.Target{{Name: "api", Repository: "r.example.com/api", Tags: []string{"v1"}, Index: empty.Index}},
	}
	all, err := r.Metadata()
	require.NoError(t, err)
	digest, err := empty.Index.Digest()
	require.NoError(t, err)
	assert.Equal(t, release.Metadata{"api": {"r.example.com/api": {
		Digest:    digest,
		Tags:      []string{"v1"},
		Platforms: map[string]v1.Hash{},
	}}}, all)
}
