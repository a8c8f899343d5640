package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("multiarch.yaml", []byte(text))
	require.NoError(t, err)
	return c
}

func platform(t testing.TB, s string) arch.Platform {
	t.Helper()
	p, err := arch.Parse(s)
	require.NoError(t, err)
	return p
}

const example = `
version: 1
registry: registry.example.com/team
platforms: [linux/s390x, linux/arm/v7, linux/amd64]
images:
  web:
    go: {package: ./web, ldflags: ["-X main.v={{.Git.Tag}}-{{.Platform.Variant}}"]}
    user: nonroot
    env: {B: 2, A: 1}
    ports: [443, 80/tcp]
    created: commit
    overrides:
      linux/arm/v7: {base: scratch, user: 7, env: {B: 3}, files: [{from: "bin/{os}-{arch}{variant}", to: /bin/tool}]}
  job:
    files: [{from: job, to: /job}]
    entrypoint: [/job/run]
    push: {repository: other.example.com/job, tags: [v1]}
`

// checkout is a config.Checkout at tag v2.
type checkout struct{}

func (checkout) Head() (config.Head, error) {
	return config.Head{Commit: "0123456789abcdef", Branch: "a$b", Time: "2026-01-02T03:04:05Z"}, nil
}
func (checkout) Tag(prefix string) (string, error)      { return prefix + "v2", nil }
func (checkout) Describe(prefix string) (string, error) { return prefix + "v2-1-g0123456", nil }
func (checkout) Dirty() (bool, error)                   { return false, nil }

func vars() config.Vars {
	return config.Vars{Checkout: checkout{}}
}

func TestNew(t *testing.T) {
	p, err := plan.New(parse(t, example), plan.Options{Vars: vars()})
	require.NoError(t, err)
	require.Len(t, p.Images, 2)
	job, web := p.Images[0], p.Images[1]
	assert.Equal(t, "job", job.Name)
	assert.Equal(t, "other.example.com/job", job.Push.Repository)
	assert.Equal(t, "registry.example.com/team/web", web.Push.Repository)
	assert.Empty(t, web.Push.Further)
	assert.Empty(t, web.Push.Immutable)
	assert.Equal(t, []config.Template{"latest"}, web.Push.Tags)

	require.Len(t, web.Children, 3)
	amd64, arm, s390x := web.Children[0], web.Children[1], web.Children[2]
	assert.Equal(t, "linux/amd64 linux/arm/v7 linux/s390x", fmt.Sprint(amd64.Platform, " ", arm.Platform, " ",
		s390x.Platform), "table order")
	assert.Equal(t, plan.Base{Name: "static", Builtin: "static"}, amd64.Base)
	assert.Equal(t, plan.Base{Name: "scratch", Builtin: "scratch"}, arm.Base)
	assert.Equal(t, []string{"A=1", "B=2"}, amd64.Config.Env)
	assert.Equal(t, []string{"A=1", "B=3"}, arm.Config.Env)
	assert.Equal(t, "65532", amd64.Config.User, "user names of the static base become numbers")
	assert.Equal(t, "7", arm.Config.User)
	assert.Equal(t, []string{"443/tcp", "80/tcp"}, amd64.Config.Ports)
	assert.Equal(t, []string{"/app/web"}, amd64.Config.Entrypoint, "the binary, by default")
	assert.Equal(t, []string{"-X main.v=v2-v7"}, arm.Go.Ldflags)
	assert.Equal(t, "bin/linux-armv7", arm.Files[0].From)
	assert.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), amd64.Config.Created)
	assert.Equal(t, int64(0), amd64.Epoch.Unix(), "layers do not change with the commit")
	assert.Equal(t, int64(0), job.Children[0].Config.Created.Unix())
}

func TestSelection(t *testing.T) {
	c := parse(t, example)
	p, err := plan.New(c, plan.Options{Images: []string{"job"}, Platforms: []arch.Platform{platform(t,
		"linux/arm/v7")}, Registry: "another.example.com", Epoch: time.Unix(100, 0)})
	require.NoError(t, err, "images that are not selected do not need a checkout")
	require.Len(t, p.Images, 1)
	require.Len(t, p.Images[0].Children, 1)
	assert.Equal(t, "another.example.com/job", p.Images[0].Push.Repository, "full references are redirected as well")
	assert.Equal(t, int64(100), p.Images[0].Children[0].Config.Created.Unix())
	assert.Equal(t, int64(100), p.Images[0].Children[0].Epoch.Unix())

	_, err = plan.New(c, plan.Options{Images: []string{"jbo", "wbe"}})
	assert.ErrorContains(t, err, `unknown image "jbo"`)
	assert.ErrorContains(t, err, `unknown image "wbe"`)
	var unknown *plan.UnknownImageError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, `did you mean "job"? known: job, web`, unknown.Hint())

	_, err = plan.New(c, plan.Options{Images: []string{"job"}, Platforms: []arch.Platform{platform(t,
		"linux/arm64"), platform(t, "linux/amd64")}})
	var missing *plan.MissingPlatformError
	require.ErrorAs(t, err, &missing, "a missing platform is never omitted silently")
	assert.EqualError(t, err, "image job has no platform linux/arm64")
	assert.Contains(t, missing.Hint(), "linux/s390x")
}

func TestNewReportsErrorsWithHints(t *testing.T) {
	for _, c := range []struct{ images, want, hint string }{
		{"{a: {go: {package: ./a}, base: py}}",
			"multiarch.yaml:4:7: bases.py: not locked: there is no multiarch.lock", "run: multiarch lock"},
		{"{a: {go: {package: ./a}, base: reg}}",
			"multiarch.yaml:5:8: bases.reg: not locked: there is no multiarch.lock", "run: multiarch lock"},
		{"{a: {files: [{from: a, to: /a}], platforms: [linux/arm/v6], base: py}}",
			"images.a.base: base py does not support linux/arm/v6: Debian has no such architecture",
			"linux/arm/v6: static"},
		{"{a: {bazel: //x}}", "images.a.bazel: images that only have a Bazel label are not supported here", ""},
		{"{a: {go: {package: ./a}, platforms: [windows/amd64]}}",
			"images.a.base: base static does not support windows/amd64", "scratch"},
		{"{a: {go: {package: ./a}, user: nonrot}}", `images.a.user: base static has no user "nonrot"`,
			`did you mean "nonroot"`},
		{"{a: {go: {package: ./a}, base: scratch, user: nonroot}}",
			"images.a.user: base scratch has no named users", "65532"},
		{"{a: {go: {package: ./a}, created: commit}}", "images.a.created: no git commit is checked out",
			"created: commit"},
		{"{a: {go: {package: ./a, ldflags: ['{{.Git.Tag}}']}}}", "images.a.go.ldflags[0]: template", "create a commit"},
		{"{a: {go: {package: ./a, ldflags: ['{{.Env.NOT_SET}}']}}}", "images.a.go.ldflags[0]: template",
			"set the environment variable"},
	} {
		text := "version: 1\nplatforms: [linux/amd64, linux/arm64]\nbases:\n" +
			"  py: {debian: {suite: trixie, packages: [python3]}}\n  reg: {image: a/b}\nimages: " + c.images
		_, err := plan.New(parse(t, text), plan.Options{})
		var all config.Errors
		require.ErrorAs(t, err, &all, c.images)
		assert.Len(t, all, 1, "reported once, not once per platform")
		assert.ErrorContains(t, err, c.want)
		assert.Contains(t, all[0].Hint(), c.hint)
	}
}

func TestErrorsAreInFileOrder(t *testing.T) {
	_, err := plan.New(parse(t, `version: 1
platforms: [linux/amd64]
bases:
  z: {image: a/z}
  y: {image: a/y}
  x: {image: a/x}
images:
  a: {go: {package: ./a}, base: y}
  b: {go: {package: ./b, ldflags: ["{{.Env.NOT_SET}}"]}, base: x}
  c: {go: {package: ./c}, base: z}
`), plan.Options{})
	var all config.Errors
	require.ErrorAs(t, err, &all)
	var lines []int
	for _, e := range all {
		lines = append(lines, e.Line)
	}
	assert.Equal(t, []int{4, 5, 6, 9}, lines)
}

func TestWindows(t *testing.T) {
	p, err := plan.New(parse(t,
		"version: 1\nplatforms: [windows/amd64]\nimages: {a: {base: scratch, go: {package: ./a}}}"), plan.Options{})
	require.NoError(t, err)
	c := p.Images[0].Children[0]
	assert.Equal(t, "/app/a.exe", c.Go.Path)
	assert.Equal(t, []string{`C:\app\a.exe`}, c.Config.Entrypoint)
}

// many returns a configuration of n services for ten platforms.
func many(n int) []byte {
	var s strings.Builder
	s.WriteString("version: 1\n" +
		"platforms: [linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/arm/v5, linux/386, linux/ppc64le, " +
		"linux/s390x, linux/riscv64, linux/loong64]\nimages:\n")
	for i := range n {
		fmt.Fprintf(&s,
			"  service-%d:\n    go: {package: ./svc%d, ldflags: [-s, -w]}\n    user: nonroot\n    env: {A: b}\n"+
				"    ports: [8080/tcp]\n", i, i)
	}
	return []byte(s.String())
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		text := many(n)
		b.Run(fmt.Sprintf("%dx10", n), func(b *testing.B) {
			for b.Loop() {
				c, err := config.Parse("multiarch.yaml", text)
				require.NoError(b, err)
				p, err := plan.New(c, plan.Options{})
				require.NoError(b, err)
				require.Len(b, p.Images, n)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/service")
		})
	}
}

func TestFrom(t *testing.T) {
	c := parse(t, `
version: 1
registry: registry.example.com/team
platforms: [linux/amd64]
images:
  legacy: {from: {linux/arm64/v8: legacy-arm64v8, linux/amd64: "other.example.com/legacy:v1"}}
  listed: {from: [one, two], platforms: [linux/s390x, linux/amd64], annotations: {a: b}}
  open: {from: [one@sha256:`+strings.Repeat("0", 64)+`]}
`)
	p, err := plan.New(c, plan.Options{})
	require.NoError(t, err)
	legacy, listed, open := p.Images[0], p.Images[1], p.Images[2]
	amd64, arm64, s390x := platform(t, "linux/amd64"), platform(t, "linux/arm64"), platform(t, "linux/s390x")
	assert.Equal(t, []plan.From{{"other.example.com/legacy:v1", amd64}, {"registry.example.com/team/legacy-arm64v8",
		arm64}}, legacy.From, "table order")
	assert.Empty(t, legacy.Children)
	assert.Empty(t, legacy.Platforms)
	assert.Equal(t, []plan.From{{Reference: "registry.example.com/team/one"},
		{Reference: "registry.example.com/team/two"}}, listed.From)
	assert.Equal(t, []arch.Platform{amd64, s390x}, listed.Platforms)
	assert.Equal(t, map[string]string{"a": "b"}, listed.Annotations)
	assert.Empty(t, open.Platforms)
	assert.Equal(t, "registry.example.com/team/open", open.Push.Repository)

	p, err = plan.New(c, plan.Options{Registry: "localhost:5000", Platforms: []arch.Platform{arm64},
		Images: []string{"legacy", "open"}})
	require.NoError(t, err)
	assert.Equal(t, []plan.From{{"localhost:5000/legacy-arm64v8", arm64}}, p.Images[0].From)
	assert.Equal(t, []arch.Platform{arm64}, p.Images[1].Platforms)

	_, err = plan.New(c, plan.Options{Platforms: []arch.Platform{arm64}})
	var missing *plan.MissingPlatformError
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, "listed", missing.Image)
}

func TestForBazel(t *testing.T) {
	c := parse(t, `
version: 1
platforms: [linux/amd64, windows/amd64]
images:
  label: {bazel: //java:server, base: scratch, created: commit}
  both: {bazel: //go:both, go: {package: ./both, ldflags: ["-X main.v={{.Git.Tag}}{{.Env.NOT_SET}}"]}, base: scratch}
`)
	p, err := plan.New(c, plan.Options{Bazel: true})
	require.NoError(t, err, "a plan for Bazel needs neither a checkout nor an environment")
	both, label := p.Images[0], p.Images[1]
	assert.Equal(t, "//java:server", label.Children[0].Bazel)
	assert.Nil(t, label.Children[0].Go)
	assert.Equal(t, []string{"/app/label"}, label.Children[0].Config.Entrypoint)
	assert.Equal(t, []string{`C:\app\label.exe`}, label.Children[1].Config.Entrypoint)
	assert.Equal(t, int64(0), label.Children[0].Config.Created.Unix())
	assert.Equal(t, []string{"-X main.v={{.Git.Tag}}{{.Env.NOT_SET}}"}, both.Children[0].Go.Ldflags)
	assert.Equal(t, "//go:both", both.Children[0].Bazel)

	_, err = plan.New(c, plan.Options{Images: []string{"label"}})
	assert.ErrorContains(t, err, "images.label.bazel: images that only have a Bazel label are not supported here",
		"the embedded engine has nothing to compile")
}
