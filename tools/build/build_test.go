package build_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

const services = `
version: 1
platforms: [linux/amd64, linux/arm64]
images:
  one:
    go: {package: ./one}
    files: [{from: shared, to: /etc/shared}]
  two:
    go: {package: ./two, ldflags: [-s, -w]}
    base: scratch
  same-name:
    go: {package: ./other/two}
`

// tree is a module with services to build.
func tree(t testing.TB) string {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":          "module example.com/services\n\ngo 1.24\n",
		"one/main.go":     "package main\n\nimport \"example.com/services/lib\"\n\nfunc main() { println(lib.Text) }\n",
		"two/main.go":     "package main\n\nfunc main() { println(\"two\") }\n",
		"other/two/a.go":  "package main\n\nfunc main() { println(\"other two\") }\n",
		"lib/lib.go":      "package lib\n\nimport _ \"embed\"\n\n//go:embed text/*.txt\nvar Text string\n",
		"lib/text/a.txt":  "embedded",
		"shared/conf":     "a = 1\n",
		"shared/sub/conf": "b = 2\n",
		"README":          "not compiled\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t testing.TB, file, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
}

func planOf(t testing.TB, text string) *plan.Plan {
	t.Helper()
	c, err := config.Parse("multiarch.yaml", []byte(text))
	require.NoError(t, err)
	p, err := plan.New(c, plan.Options{})
	require.NoError(t, err)
	return p
}

func store(t testing.TB, dir string) *cache.Store {
	t.Helper()
	s, err := cache.Open(dir)
	require.NoError(t, err)
	return s
}

func run(t testing.TB, dir, cacheDir, text string) []build.Result {
	t.Helper()
	results, err := build.Run(t.Context(), planOf(t, text), build.Options{Dir: dir, Store: store(t, cacheDir)})
	require.NoError(t, err)
	return results
}

// digests reads every result whole, which checks every blob, and returns the digest of each index.
func digests(t testing.TB, results []build.Result) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range results {
		require.NoError(t, validate.Index(r.Index), r.Name)
		h, err := r.Index.Digest()
		require.NoError(t, err)
		all[r.Name] = h.String()
	}
	require.NotEmpty(t, all)
	return all
}

func TestDigestsDependOnlyOnInputs(t *testing.T) {
	first := digests(t, run(t, tree(t), t.TempDir(), services))
	second := digests(t, run(t, tree(t), t.TempDir(), services))
	assert.Equal(t, first, second)
	assert.Len(t, first, 3)
}

func TestProgressReportsEveryPlatformOnce(t *testing.T) {
	var events []build.Event
	_, err := build.Run(t.Context(), planOf(t, services), build.Options{
		Dir: tree(t), Store: store(t, t.TempDir()), Progress: func(e build.Event) { events = append(events, e) },
	})
	require.NoError(t, err)
	assert.Len(t, events, 6)
	last := map[string]int{}
	for _, e := range events {
		assert.Equal(t, last[e.Image]+1, e.Done)
		assert.Equal(t, 2, e.Total)
		last[e.Image] = e.Done
	}
}

// steps records the started steps.
type steps struct {
	mu      sync.Mutex
	started []build.Step
	running int
}

func (s *steps) start(step build.Step) build.Running {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.running = append(s.started, step), s.running+1
	return s
}

func (s *steps) Detail(string)      {}
func (s *steps) Bytes(int64, int64) {}

func (s *steps) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

func TestStepsNameImagesAndPlatforms(t *testing.T) {
	dir, cacheDir := tree(t), t.TempDir()
	buildOnce := func() *steps {
		var s steps
		_, err := build.Run(t.Context(), planOf(t, services), build.Options{Dir: dir, Store: store(t, cacheDir),
			Started: s.start})
		require.NoError(t, err)
		assert.Zero(t, s.running, "every step ends")
		return &s
	}
	compiled := map[string]int{}
	for _, step := range buildOnce().started {
		if step.Stage == build.Compile {
			compiled[step.Platform.String()]++
			assert.Len(t, step.Of, 3, "one go command compiles all images")
		}
	}
	assert.Equal(t, map[string]int{"linux/amd64": 1, "linux/arm64": 1}, compiled)
	for _, step := range buildOnce().started {
		assert.NotContains(t, []build.Stage{build.Compile, build.Compress}, step.Stage, "cached")
	}
}

// TestConcurrentBuildsShareACache also runs under the race detector.
func TestConcurrentBuildsShareACache(t *testing.T) {
	dir, cacheDir := tree(t), t.TempDir()
	var wg sync.WaitGroup
	got := make([]map[string]string, 3)
	for i := range got {
		wg.Go(func() { got[i] = digests(t, run(t, dir, cacheDir, services)) })
	}
	wg.Wait()
	assert.Equal(t, got[0], got[1])
	assert.Equal(t, got[0], got[2])
}

func flip(file string) error {
	content, err := os.ReadFile(file)
	if err != nil || len(content) == 0 {
		return err
	}
	content[len(content)/2] ^= 0xff
	return os.WriteFile(file, content, 0o644)
}

func TestCompileErrorsAreReportedOnce(t *testing.T) {
	dir := tree(t)
	write(t, filepath.Join(dir, "two/main.go"), "package main\n\nfunc main() { undefined() }\n")
	write(t, filepath.Join(dir, "lib/lib_arm64.go"), "package lib\n\nvar x int = \"text\"\n")
	_, err := build.Run(t.Context(), planOf(t, services), build.Options{Dir: dir, Store: store(t, t.TempDir())})
	require.Error(t, err)
	var failed *build.CompileError
	require.True(t, errors.As(err, &failed), "%v", err)
	text := err.Error()
	assert.Equal(t, 1, strings.Count(text, "undefined: undefined"), text)
	assert.Contains(t, text, "compiling two for linux/amd64, linux/arm64:")
	assert.Contains(t, text, "compiling one for linux/arm64:")
	assert.NotContains(t, text, "same-name")
}

// TestAllKindsOfCompileErrorsAreReported combines errors of listing packages with compiler errors.
func TestAllKindsOfCompileErrorsAreReported(t *testing.T) {
	dir, cacheDir := tree(t), t.TempDir()
	// The second build knows the inputs of the programs.
	for _, edit := range []string{"", "// edited\n"} {
		write(t, filepath.Join(dir, "one/main.go"),
			edit+"package main\n\nimport \"example.com/nowhere\"\n\nfunc main() { nowhere.X() }\n")
		write(t, filepath.Join(dir, "two/main.go"), edit+"package main\n\nfunc main() { undefined() }\n")
		write(t, filepath.Join(dir, "other/two/a.go"), edit+"package two\n")
		_, err := build.Run(t.Context(), planOf(t, services), build.Options{Dir: dir, Store: store(t, cacheDir)})
		require.Error(t, err)
		for _, want := range []string{"provides package example.com/nowhere", "undefined: undefined",
			"./other/two is not a main package: it is package two"} {
			assert.Equal(t, 1, strings.Count(err.Error(), want), "%s in %s", want, err)
		}
		for _, name := range []string{"one/main.go", "two/main.go", "other/two/a.go"} {
			write(t, filepath.Join(dir, name), "package main\n\nfunc main() {}\n")
		}
		digests(t, run(t, dir, cacheDir, services))
	}
}

func TestMissingPackagesFail(t *testing.T) {
	for text, want := range map[string]string{
		"{package: ./nowhere}":       "nowhere",
		"{package: ./lib}":           "./lib is not a main package: it is package lib",
		"{package: example.com/x/y}": "example.com/x/y",
	} {
		_, err := build.Run(t.Context(), planOf(t,
			"version: 1\nplatforms: [linux/amd64]\nimages: {a: {go: "+text+"}, two: {go: {package: ./two}}}"),
			build.Options{Dir: tree(t), Store: store(t, t.TempDir())})
		var failed *build.CompileError
		require.True(t, errors.As(err, &failed), fmt.Sprint(err))
		assert.Contains(t, err.Error(), want)
		assert.Equal(t, []string{"a"}, failed.Images)
	}
}

func TestErrorsNameMissingFiles(t *testing.T) {
	_, err := build.Run(t.Context(), planOf(t, "version: 1\nplatforms: [linux/amd64]\nimages: {a: {files: "+
		"[{from: nowhere, to: /x}]}}"), build.Options{Dir: tree(t), Store: store(t, t.TempDir())})
	assert.ErrorContains(t, err, "nowhere does not exist")
	assert.ErrorContains(t, err, "image a, linux/amd64")
}

func TestCheckReportsAllMissingFiles(t *testing.T) {
	dir := tree(t)
	require.NoError(t, os.Symlink("gone", filepath.Join(dir, "link")))
	c, err := config.Parse("multiarch.yaml", []byte(`version: 1
platforms: [linux/amd64, linux/arm64]
images:
  z: {files: [{from: nowhere, to: /x}, {from: shared, to: /y}]}
  y:
    go: {package: ./does/not/compile}
    files: [{from: "bin-{arch}", to: /x}, {from: shared, to: /y, glob: ["*.rb"]}]
    overrides:
      linux/arm64: {files: [{from: link, to: /x}]}
  a: {files: [{from: ., to: /x}, {from: ., to: /y, glob: ["!out/**"]}]}
`))
	require.NoError(t, err)
	p, err := plan.New(c, plan.Options{})
	require.NoError(t, err)
	err = build.Check(c, p, dir, filepath.Join(dir, "out"))
	var wrong config.Errors
	require.ErrorAs(t, err, &wrong)
	var got []string
	for _, e := range wrong {
		assert.NotEmpty(t, e.Hint())
		got = append(got, e.Error())
	}
	assert.Equal(t, []string{
		"multiarch.yaml:4:22: images.z.files[0].from: nowhere does not exist",
		"multiarch.yaml:7:20: images.y.files[0].from: bin-amd64 does not exist",
		"multiarch.yaml:7:20: images.y.files[0].from: bin-arm64 does not exist",
		"multiarch.yaml:7:50: images.y.files[1].from: no file in shared matches *.rb",
		"multiarch.yaml:9:36: images.y.overrides.linux/arm64.files[0].from: link is a symbolic link to gone, " +
			"which does not exist",
		"multiarch.yaml:10:22: images.a.files[0].from: . contains out, the output directory",
	}, got)

	p, err = plan.New(c, plan.Options{Images: []string{"a"}})
	require.NoError(t, err)
	assert.NoError(t, build.Check(c, p, dir, ""))
	assert.NoError(t, build.Check(c, p, dir, t.TempDir()))
}

func TestFileAtThePathOfTheProgramFails(t *testing.T) {
	for _, files := range []string{"{from: README, to: /app/a}",
		"{from: shared, to: /app, glob: [\"**/conf\"]}, {from: README, to: /app/a}"} {
		_, err := build.Run(t.Context(), planOf(t, "version: 1\nplatforms: [linux/amd64]\nimages: {a: {go: "+
			"{package: ./two}, files: ["+files+"]}}"), build.Options{Dir: tree(t), Store: store(t, t.TempDir())})
		var hidden *build.HiddenError
		require.ErrorAs(t, err, &hidden)
		assert.ErrorContains(t, err, "image a, linux/amd64: README is copied to /app/a, the path of the program")
	}
}

func TestCanceledBuildEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := build.Run(ctx, planOf(t, services), build.Options{Dir: tree(t), Store: store(t, t.TempDir())})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestRunRejectsJoinedImages(t *testing.T) {
	p := planOf(t, "version: 1\nimages: {b: {from: [x, y]}}")
	_, err := build.Run(t.Context(), p, build.Options{Dir: tree(t), Store: store(t, t.TempDir())})
	require.ErrorContains(t, err, "image b: the engine cannot join existing images")
}
