package config_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// checkout is a config.Checkout with fixed answers.
type checkout struct{ branch, tag string }

func (c checkout) Head() (config.Head, error) {
	return config.Head{Commit: "abc1234def", Branch: c.branch, Time: "2026-01-02T03:04:05Z"}, nil
}
func (c checkout) Tag(prefix string) (string, error)      { return c.tag, nil }
func (c checkout) Describe(prefix string) (string, error) { return prefix + "described", nil }
func (c checkout) Dirty() (bool, error)                   { return false, errors.New("git status failed") }

func TestTemplates(t *testing.T) {
	vars := config.Vars{Repository: "r/hello", Checkout: checkout{}, Env: map[string]string{"A": "b"}}
	got, err := config.Template("{{.Git.ShortCommit}}-{{.Env.A}}").Expand(vars)
	require.NoError(t, err)
	assert.Equal(t, "abc1234-b", got)

	row, _ := arch.Find(platform(t, "linux/arm/v7"))
	vars.Platform = config.PlatformVarsOf(row)
	got, err = config.PlatformTemplate("{{.Repository}}-{{.Platform.Official}}").Expand(vars)
	require.NoError(t, err)
	assert.Equal(t, "r/hello-arm32v7", got)

	var unavailable *config.UnavailableError
	_, err = config.Template("{{.Env.UNSET}}").Expand(vars)
	assert.ErrorContains(t, err, "UNSET")
	require.ErrorAs(t, err, &unavailable)
	_, err = config.Template("{{.Git.Tag}}").Expand(config.Vars{})
	assert.ErrorContains(t, err, "no git commit is checked out")
	require.ErrorAs(t, err, &unavailable)

	_, err = config.Template("{{.Git.Commit}}{{.Git.Describe}}").Expand(vars)
	require.NoError(t, err, "a failing query is an error only for templates that use it")
	_, err = config.Template("{{if .Git.Dirty}}x{{end}}").Expand(vars)
	require.ErrorContains(t, err, "git status failed")
}

func TestValueTemplates(t *testing.T) {
	row, _ := arch.Find(platform(t, "linux/arm/v7"))
	vars := config.Vars{
		Image: "hello", Registry: "r", Repository: "r/hello", Platform: config.PlatformVarsOf(row), TagPrefix: "p/",
		Checkout: checkout{branch: "a$b", tag: "v1"}, Env: map[string]string{"A": "$HOME"},
	}
	for text, want := range map[string]string{
		"plain":                                  "plain",
		"{{.Git.Commit}}":                        "abc1234def",
		"{{ .Git.Tag }}":                         "v1",
		"{{- .Git.CommitTime -}} x":              "2026-01-02T03:04:05Zx",
		"v{{.Git.Describe}}":                     "vp/described",
		"{{$.Image}}":                            "hello",
		"{{with .Git.Tag}}{{.}}-x{{end}}":        "v1-x",
		"{{printf \"%s\" .Repository}}":          "r/hello",
		"{{.Platform.Official}}":                 "arm32v7",
		"{{.Env.A}}":                             "$HOME",
		"{{\"{{\"}}.Name}} {{.Image}}":           "{{.Name}} hello",
		"{{.Git.Branch}}:$PATH":                  "a$b:$PATH",
		"{{.Name}} {{range .Ports}}{{.}}{{end}}": "{{.Name}} {{range .Ports}}{{.}}{{end}}",
		"{{ .Values.image }}":                    "{{ .Values.image }}",
		"{{.Site.Image}}":                        "{{.Site.Image}}",
		"{{.Images}} {{.Environment}}":           "{{.Images}} {{.Environment}}",
		"{{":                                     "{{",
		"}} {{nope}}":                            "}} {{nope}}",
		"{{.Time}} .Git.Tag":                     "{{.Time}} .Git.Tag",
		"${{ github.sha }}":                      "${{ github.sha }}",
	} {
		var value config.ValueTemplate
		require.NoError(t, value.UnmarshalText([]byte(text)), text)
		got, err := value.Expand(vars)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	for text, want := range map[string]string{
		"{{.Git.Branch}}:$PATH": "a$$b:$PATH",
		"{{.Env.A}}/$$x":        "$$HOME/$$x",
		"$HOME {{.Name}}":       "$HOME {{.Name}}",
	} {
		got, err := config.ValueTemplate(text).ExpandEnv(vars)
		require.NoError(t, err)
		assert.Equal(t, want, got, "the base's variables are expanded later")
	}
	for _, text := range []string{
		"{{.Git.Tga}}", "{{.Git.Tag}", "{{.Git", "{{.Image.Name}}", "{{.Git.Tag}} {{.Name}}",
		"{{.Git.Tag}} {{name}}", "{{range .Git}}{{end}}"} {
		var value config.ValueTemplate
		assert.Error(t, value.UnmarshalText([]byte(text)), text)
	}
}

func TestHealthcheck(t *testing.T) {
	c, err := config.Parse("multiarch.yaml", []byte(`version: 1
platforms: [linux/amd64, linux/arm64, linux/arm]
images:
  a:
    files: [{from: a, to: /a}]
    healthcheck: {test: [CMD, /a, -h, 1], interval: 1m30s, timeout: 5s,
      start_period: 0s, start_interval: 500ms, retries: 3}
    overrides:
      linux/arm64: {healthcheck: {interval: 2m}}
      linux/arm: {healthcheck: {disable: true}}
  b: {files: [{from: a, to: /a}], healthcheck: {test: "curl -f http://localhost/ || exit 1"}}
  c: {files: [{from: a, to: /a}], healthcheck: {test: [CMD-SHELL, true]}}
  d: {files: [{from: a, to: /a}], healthcheck: {test: [NONE]}}
  e: {files: [{from: a, to: /a}], healthcheck: {test: NONE}}
  f: {files: [{from: a, to: /a}], healthcheck: {retries: 9}}
`))
	require.NoError(t, err)
	amd64 := platform(t, "linux/amd64")
	want := config.Healthcheck{
		Test: config.HealthTest{
			"CMD",
			"/a",
			"-h",
			"1",
		}, Interval: config.HealthDuration(90 * time.Second), Timeout: config.HealthDuration(5 * time.Second),
		StartInterval: config.HealthDuration(500 * time.Millisecond), Retries: 3,
	}
	assert.Equal(t, &want, c.Images["a"].On(amd64).Healthcheck)
	want.Interval = config.HealthDuration(2 * time.Minute)
	assert.Equal(t, &want, c.Images["a"].On(platform(t, "linux/arm64")).Healthcheck)
	assert.Equal(t, config.HealthTest{"NONE"}, c.Images["a"].On(platform(t, "linux/arm/v7")).Healthcheck.Test)
	for image, test := range map[string]config.HealthTest{
		"b": {"CMD-SHELL", "curl -f http://localhost/ || exit 1"},
		"c": {"CMD-SHELL", "true"}, "d": {"NONE"}, "e": {"NONE"}, "f": nil,
	} {
		assert.Equal(t, test, c.Images[image].On(amd64).Healthcheck.Test, image)
	}
}

func TestWindowsSettings(t *testing.T) {
	c, err := config.Parse("multiarch.yaml", []byte(`version: 1
images:
  both:
    platforms: [linux/amd64, windows/amd64]
    files: [{from: a, to: /a}]
    env: {PATH: one, Other: x}
    workdir: /srv
    overrides: {windows/amd64: {env: {Path: two, NEW: y}, workdir: 'c:\app\x', volumes: ['C:/data']}}
  only: {platforms: [windows/amd64], files: [{from: a, to: /a}], workdir: 'C:\app'}
`))
	require.NoError(t, err)
	on := c.Images["both"].On(platform(t, "windows/amd64"))
	assert.Equal(t, map[config.Name]config.ValueTemplate{"Path": "two", "Other": "x", "NEW": "y"}, on.Env)
	assert.Equal(t, "/app/x", on.Workdir)
	assert.Equal(t, []string{"/data"}, on.Volumes)
	linux := c.Images["both"].On(platform(t, "linux/amd64"))
	assert.Equal(t, map[config.Name]config.ValueTemplate{"PATH": "one", "Other": "x"}, linux.Env)
	assert.Equal(t, "/srv", linux.Workdir)
	assert.Equal(t, "/app", c.Images["only"].On(platform(t, "windows/amd64")).Workdir)
}
