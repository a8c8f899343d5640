package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

var update = flag.Bool("update", false, "rewrite the errors in testdata/errors and the fields in README.md")

func parse(t testing.TB, file string) *config.Config {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	c, err := config.Parse(file, content)
	require.NoError(t, err)
	return c
}

func platform(t testing.TB, s string) arch.Platform {
	t.Helper()
	p, err := arch.Parse(s)
	require.NoError(t, err)
	return p
}

func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.Len(t, archive.Files, 2)
			c, err := config.Parse(archive.Files[0].Name, archive.Files[0].Data)
			require.Error(t, err)
			assert.Nil(t, c)
			got := err.Error() + "\n"
			if *update {
				archive.Files[1].Data = []byte(got)
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
			}
			assert.Equal(t, string(archive.Files[1].Data), got, "to accept: go test ./tools/spec/config -update")
		})
	}
}

func TestParse(t *testing.T) {
	c := parse(t, "testdata/good.yaml")
	hello := c.Images["hello"]
	assert.Equal(t, []config.Port{"8080/tcp", "53/udp", "9090/tcp"}, hello.Ports)
	assert.Equal(
		t,
		map[config.Name]config.ValueTemplate{"GOGC": "100", "VERSION": "1.10", "DEBUG": "yes"},
		hello.Env,
		"as written",
	)
	assert.Equal(t, time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC), hello.Created.Time)
	assert.Equal(t, config.Zstd, hello.Compression)
	mixed := c.Images["mixed"]
	assert.Equal(t, "static", mixed.On(platform(t, "linux/amd64")).Base.Name)
	assert.Equal(t, "bare", mixed.On(platform(t, "linux/arm/v7")).Base.Name)
	assert.Equal(t, "distroless", mixed.On(platform(t, "linux/arm64")).Base.Name, "overrides win")
	assert.Equal(t, config.Text("linux/arm"), c.Bases["bare"].Platforms[platform(t, "linux/arm/v7")])

	arm := hello.On(platform(t, "linux/arm/v7"))
	assert.Equal(
		t,
		map[config.Name]config.ValueTemplate{"GOGC": "50", "VERSION": "1.10", "DEBUG": "yes"},
		arm.Env,
		"maps are merged",
	)
	assert.Equal(t, []string{}, arm.Cmd, "an empty list that is given is not nil")
	assert.Equal(t, []string{"small"}, arm.Go.Tags, "lists are replaced")
	assert.Equal(t, "./app/hello", arm.Go.Package)
	assert.Equal(
		t,
		config.ValueTemplate("100"),
		hello.On(platform(t, "linux/arm64")).Env["GOGC"],
		"the image itself is not changed",
	)

	assert.Equal(
		t,
		[]arch.Platform{platform(t, "linux/amd64"), platform(t, "linux/arm64"), platform(t, "linux/arm/v7")},
		c.PlatformsOf("hello"),
	)
	assert.Equal(t, "registry.example.com/onap/hello", c.Repositories("hello", c.Registry)[0])
	assert.Equal(t, "py-app", c.Repositories("py-app", "")[0])
	assert.Equal(t, []config.Template{"latest"}, c.Tags("py-app"))

	legacy, joined := c.Images["legacy"].From, c.Images["joined"].From
	assert.Equal(
		t,
		map[arch.Platform]config.Text{
			platform(t, "linux/amd64"): "onap/legacy-amd64",
			platform(t, "linux/arm64"): "onap/legacy-arm64v8",
		},
		legacy.ByPlatform,
	)
	assert.Equal(t, []config.Text{"team/one", "registry.example.com/two:v1"}, joined.List)
	assert.Equal(t, []arch.Platform{platform(t, "linux/amd64"), platform(t, "linux/arm64")}, c.PlatformsOf("legacy"))
	assert.Equal(t, []arch.Platform{platform(t, "linux/amd64"), platform(t, "linux/s390x")}, c.PlatformsOf("joined"))
	assert.Equal(t, "registry.example.com/onap/team/one", c.Reference("team/one", c.Registry))
	assert.Equal(t, "registry.example.com/two:v1", c.Reference("registry.example.com/two:v1", "other.example.com"))
	assert.Equal(t, "team/one", c.Reference("team/one", ""))

	files := c.Images["py-app"].Files
	assert.Equal(t, config.Mode(0o644), files[0].Mode)
	assert.Equal(t, config.Owner{UID: 65532, GID: 65532}, files[0].Owner)

	assert.Equal(t, []string{
		"registry.example.com/onap/many", "other.example.com:5000/team/many",
		"registry2.example.com/onap/many", "registry2.example.com/onap/team/many",
		"localhost:5000/many", "localhost:5000/team/many",
	}, c.Repositories("many", c.Registry), "mirrors get every image")
	assert.Equal(t, []config.Redirection{
		{From: "registry.example.com/onap/many", To: "other.example.com/many"},
		{From: "other.example.com:5000/team/many", To: "other.example.com/team/many"},
		{From: "registry2.example.com/onap/many", To: "other.example.com/many"},
		{From: "registry2.example.com/onap/team/many", To: "other.example.com/team/many"},
		{From: "localhost:5000/many", To: "other.example.com/many"},
		{From: "localhost:5000/team/many", To: "other.example.com/team/many"},
	}, c.Redirect("many", "other.example.com"), "another registry gets no mirrors")
	for repository, want := range map[string]string{
		c.Registry + "/sub/many":           c.Registry,
		c.Mirrors[0] + "/many":             c.Mirrors[0],
		"other.example.com:5000/team/many": "other.example.com:5000/team",
		"many":                             c.Registry,
	} {
		assert.Equal(t, want, c.RegistryOf(repository, c.Registry), repository)
	}
	assert.Equal(
		t,
		map[string]config.Registry{"localhost:5000": {Insecure: true}, "registry.example.com": {Jobs: 8}},
		c.Registries,
	)
	assert.Equal(t, []string{"*"}, hello.Push.Immutable.Patterns())
	assert.Equal(t, []string{"v*", "[0-9]*"}, c.Images["many"].Push.Immutable.Patterns())
	assert.Equal(
		t,
		&config.Smoke{
			Args:    []string{"--version"},
			Exit:    3,
			Stdout:  "^many [0-9]+",
			Timeout: config.Duration(90 * time.Second),
		},
		c.Images["many"].Smoke,
	)
	assert.Equal(
		t,
		&config.SmokeHTTP{Path: "/", Port: 5000, Status: 200, Body: "Hello ONAP"},
		c.Images["py-app"].Smoke.HTTP,
	)

	base, ok := c.BaseOf("scratch")
	assert.True(t, ok)
	assert.Equal(t, "scratch", base.Builtin)
	_, ok = c.BaseOf("nowhere")
	assert.False(t, ok)
}

func TestFilesOfOverridesAreAdded(t *testing.T) {
	c, err := config.Parse("multiarch.yaml", []byte(`version: 1
platforms: [linux/amd64, linux/arm64, linux/arm]
images:
  both:
    files: [{from: LICENSE, to: /LICENSE}, {from: b, to: /b}]
    overrides:
      linux/arm64: {files: [{from: c, to: /c}]}
      linux/arm: {files: []}
  each:
    overrides:
      linux/amd64: {files: [{from: a, to: /x}]}
      linux/arm64: {go: {package: ./x}}
      linux/arm:
        files: [{from: c, to: /x}, {from: d, to: /y}]
`))
	require.NoError(t, err, "an image whose files are all in overrides")
	from := func(image, on string) (all []string) {
		for _, f := range c.Images[image].On(platform(t, on)).Files {
			all = append(all, f.From)
		}
		return all
	}
	assert.Equal(t, []string{"LICENSE", "b"}, from("both", "linux/amd64"))
	assert.Equal(t, []string{"LICENSE", "b", "c"}, from("both", "linux/arm64"))
	assert.Equal(t, []string{"LICENSE", "b"}, from("both", "linux/arm/v7"), "an empty list adds nothing")
	assert.Equal(t, []string{"LICENSE", "b"}, from("both", "linux/amd64"), "the image itself is not changed")
	assert.Equal(t, []string{"c", "d"}, from("each", "linux/arm/v7"))
	for want, at := range map[string]config.Path{
		"multiarch.yaml:5:44":  c.FilePath("both", platform(t, "linux/arm64"), 1),
		"multiarch.yaml:7:29":  c.FilePath("both", platform(t, "linux/arm64"), 2),
		"multiarch.yaml:14:36": c.FilePath("each", platform(t, "linux/arm/v7"), 1),
	} {
		assert.Equal(t, want, c.At(at).String(), at)
	}
}

func TestPositions(t *testing.T) {
	c := parse(t, "testdata/good.yaml")
	for path, want := range map[string]config.Path{
		"testdata/good.yaml:3:26":  {"platforms", 1},
		"testdata/good.yaml:12:3":  {"images", "hello"},
		"testdata/good.yaml:14:11": {"images", "hello", "base"},
		"testdata/good.yaml:1:1":   {"nowhere"},
	} {
		assert.Equal(t, path, c.At(want).String())
	}
	err := c.Errorf(config.Path{"bases", "python"}, "try another", "no %s", "luck")
	assert.EqualError(t, err, "testdata/good.yaml:7:11: bases.python: no luck")
	assert.Equal(t, "try another", err.Hint())
}

// TestSchema checks that the schema accepts what the parser accepts and rejects what it rejects.
func TestSchema(t *testing.T) {
	raw, err := config.Schema()
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("multiarch.json", doc))
	schema, err := compiler.Compile("multiarch.json")
	require.NoError(t, err)

	for _, file := range []string{"testdata/good.yaml", "../../../images/multiarch.yaml"} {
		parse(t, file)
		assert.NoError(t, schema.Validate(instance(t, file)), file)
	}
	for _, name := range []string{"unknown_keys", "wrong_types", "missing"} {
		archive, err := txtar.ParseFile("testdata/errors/" + name + ".txtar")
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "multiarch.yaml")
		require.NoError(t, os.WriteFile(file, archive.Files[0].Data, 0o644))
		assert.Error(t, schema.Validate(instance(t, file)), name)
	}
}

func instance(t *testing.T, file string) any {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	var v any
	require.NoError(t, yaml.Unmarshal(content, &v))
	asJSON, err := json.Marshal(v)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	require.NoError(t, err)
	return doc
}

func FuzzParse(f *testing.F) {
	good, err := os.ReadFile("testdata/good.yaml")
	require.NoError(f, err)
	f.Add(good)
	files, err := filepath.Glob("testdata/errors/*.txtar")
	require.NoError(f, err)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(f, err)
		f.Add(archive.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := config.Parse("fuzz.yaml", content)
		if err == nil {
			require.NotNil(t, c)
			return
		}
		var all config.Errors
		require.True(t, errors.As(err, &all))
		require.NotEmpty(t, all)
		for _, e := range all {
			assert.Equal(t, "fuzz.yaml", e.File)
			assert.Positive(t, e.Line)
			assert.Positive(t, e.Column)
			assert.NotEmpty(t, e.Err.Error())
		}
	})
}
