package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/registry"
)

// pipelineJob is what a system would run on one machine.
type pipelineJob struct {
	name    string
	request bool // for a proposed change, else for a tag
	steps   []pipelineStep
}

type pipelineStep struct {
	script string
	env    []string
	// secret is that forks do not get it at all.
	secret bool
}

// password is both a name and a password of the registry of these tests.
const password = "secret"

// private answers nobody but those who know the password.
func private(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, secret, ok := r.BasicAuth(); !ok || name != password || secret != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// TestPipelinesRun runs the shell steps of every generated pipeline, as its system would, against a private registry on
// loopback: for a proposed change nothing is sent, and for a tag everything is, the tags last. A proposed change from a
// fork, which knows no password, is built all the same. What is not run are sudo and apt-get; and Bazel, whose work the
// embedded engine does here, since what is tried out are the steps.
func TestPipelinesRun(t *testing.T) {
	tool(t, "git")
	tool(t, "qemu-aarch64-static")
	for _, system := range []string{"github", "gitlab", "jenkins"} {
		for _, engine := range []string{"embedded", "bazel"} {
			for _, form := range []string{"single", "split"} {
				t.Run(system+" "+engine+" "+form, func(t *testing.T) { runPipeline(t, system, engine, form == "split") })
			}
		}
	}
}

const pipelineConfig = `version: 1
registry: registry.example.com/team
images:
  hello:
    go: {package: .}
    platforms: [linux/amd64, linux/arm64]
    smoke: {stdout: ^hello}
    push: {tags: [latest, "{{.Git.Tag}}"]}
  tool:
    go: {package: .}
    platforms: [linux/amd64]
    push: {tags: [latest]}
`

// standIns take the place of what a test cannot run.
var standIns = map[string]string{
	"sudo":    "#!/bin/sh\n",
	"apt-get": "#!/bin/sh\n",
	"bazel": `#!/bin/bash
set -eu
case "$1" in
test) ;;
run) while [ "$1" != -- ]; do shift; done; shift; exec multiarch release "$@" ;;
build)
  shift
  for label; do
    case "$label" in --*) continue ;; esac
    label=${label#//:}; image=${label%%_*}; platform=${label#*_}; platform=${platform%.layout}
    multiarch build -q --platform "${platform//_//}" --output "bazel-bin/$label" "$image"
  done ;;
*) exit 2 ;;
esac
`,
}

func runPipeline(t *testing.T, system, engine string, split bool) {
	stored := registry.New("")
	server, seen := httptest.NewServer(private(stored)), httptest.NewServer(stored)
	defer server.Close()
	defer seen.Close()
	host, open := strings.TrimPrefix(server.URL, "http://"), strings.TrimPrefix(seen.URL, "http://")
	s := services{t.TempDir(), ""}
	s.write(t, "go.mod", "module example.com/hello\n\ngo 1.24\n")
	s.write(t, "main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") }\n")
	s.write(t, "MODULE.bazel", "module(name = \"hello\")\n")
	s.write(t, ".gitignore", "bazel-bin\nrelease.json\n")
	s.write(t, "multiarch.yaml", pipelineConfig)
	bin := t.TempDir()
	for name, script := range standIns {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	}
	docker, temp := t.TempDir(), t.TempDir()
	run := func(script string, env ...string) string {
		t.Helper()
		cmd := exec.Command("bash", "-c", script)
		cmd.Dir = s.dir
		cmd.Env = append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+docker,
			"RUNNER_TEMP="+temp, "GITHUB_ENV="+filepath.Join(temp, "env"), "WORKSPACE_TMP="+temp, "BUILD_NUMBER=7"), env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", script, out)
		return string(out)
	}
	// as runs the steps of a job; whoever is without passwords has empty ones, or does not come to the step.
	as := func(j pipelineJob, known bool) (said string) {
		t.Helper()
		require.NotEmpty(t, j.steps, j.name)
		require.NoError(t, os.RemoveAll(filepath.Join(temp, "docker")))
		require.NoError(t, os.WriteFile(filepath.Join(temp, "env"), nil, 0o644))
		for _, step := range j.steps {
			var env []string
			for _, pair := range step.env {
				if !known && strings.HasSuffix(pair, "="+password) {
					pair = strings.TrimSuffix(pair, password)
				}
				env = append(env, strings.ReplaceAll(pair, "$CI_PROJECT_DIR.tmp", temp))
			}
			more, err := os.ReadFile(filepath.Join(temp, "env")) // what earlier steps have left
			require.NoError(t, err)
			if known || !step.secret {
				said += run(step.script, append(env, strings.Fields(string(more))...)...)
			}
		}
		return said
	}
	flags := " --multiarch multiarch --bazel bazel --engine " + engine
	if split {
		flags += " --split"
	}
	run("multiarch ci " + system + flags + " --output pipeline && multiarch ci " + system + flags + " --output pipeline --check")
	text, err := os.ReadFile(filepath.Join(s.dir, "pipeline"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "login registry.example.com")

	s.write(t, "multiarch.yaml", strings.ReplaceAll(pipelineConfig, "registry.example.com", host))
	if engine == "bazel" {
		run("multiarch generate")
	}
	git := "git -c user.name=x -c user.email=x@example.com "
	run("git init -q && git add . && " + git + "commit -q -m first && " + git + "tag v1.0.0")
	jobs := map[string]func(*testing.T, string) []pipelineJob{"github": jobsOfGitHub, "gitlab": jobsOfGitLab, "jenkins": jobsOfJenkins}[system](t, strings.ReplaceAll(string(text), "registry.example.com", host))

	exists := func(reference string) bool {
		ref, err := name.ParseReference(open + "/" + reference)
		require.NoError(t, err)
		_, err = remote.Head(ref)
		return err == nil
	}
	var ran []string
	for _, request := range []bool{true, false} {
		for _, j := range jobs {
			if j.request != request {
				continue
			}
			assert.False(t, exists("team/hello:v1.0.0"), "before %s", j.name)
			if request {
				assert.Contains(t, as(j, false), "team/hello:v1.0.0 new", "a fork")
				assert.NoFileExists(t, filepath.Join(temp, "docker", "config.json"))
			}
			as(j, true)
			logins, err := os.ReadFile(filepath.Join(temp, "docker", "config.json"))
			require.NoError(t, err)
			assert.Contains(t, string(logins), host)
			ran = append(ran, j.name)
		}
		if request {
			catalog, err := remote.Catalog(t.Context(), must(name.NewRegistry(open)))
			require.NoError(t, err)
			assert.Empty(t, catalog, "a proposed change sends nothing")
		}
	}
	want := []string{"preview", "release"}
	if split {
		want = []string{"preview", "build-amd64", "build-arm64", "release"}
	}
	assert.Equal(t, want, ran)
	assert.True(t, exists("team/tool:latest"))
	tags, err := remote.List(must(name.NewRepository(open + "/team/hello")))
	require.NoError(t, err)
	var parts []string
	for _, tag := range tags {
		if strings.HasPrefix(tag, "ci-") {
			parts = append(parts, tag)
		}
	}
	if split {
		require.Len(t, parts, 2)
		for _, tag := range parts {
			assert.Regexp(t, `^ci-[0-9a-f]{7,40}-7-(amd64|arm64)$`, tag)
		}
	} else {
		assert.Empty(t, parts)
	}

	var released map[string]map[string]struct {
		Digest    string
		Tags      []string
		Platforms map[string]string
	}
	metadata, err := os.ReadFile(filepath.Join(s.dir, "release.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(metadata, &released))
	hello := released["hello"][host+"/team/hello"]
	assert.Equal(t, []string{"latest", "v1.0.0"}, hello.Tags)
	assert.Len(t, hello.Platforms, 2)
	for _, tag := range hello.Tags {
		d, err := remote.Head(must(name.ParseReference(open + "/team/hello:" + tag)))
		require.NoError(t, err)
		assert.Equal(t, hello.Digest, d.Digest.String())
	}
	assert.NoFileExists(t, filepath.Join(docker, "config.json"), "logins are not those of whoever runs pipelines")

	// A proposed change after that is told what is there, since it knows the password.
	for _, j := range jobs {
		if j.request && !split {
			assert.Contains(t, as(j, true), "team/hello:v1.0.0 stays "+hello.Digest)
		}
	}
}

// TestOwnGo: what a pipeline installs compiles multiarch.
func TestOwnGo(t *testing.T) {
	content, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", content, nil)
	require.NoError(t, err)
	assert.Equal(t, shortVersion(mod.Go.Version), ownGo)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// valuesOf are the variables that GitHub fills in.
func valuesOf(text string) string {
	text = regexp.MustCompile(`\$\{\{ (secrets\.\w+|github\.actor) \}\}`).ReplaceAllString(text, "secret")
	return strings.NewReplacer("${{ github.sha }}", "0123456", "${{ github.run_id }}", "7").Replace(text)
}

func jobsOfGitHub(t *testing.T, text string) (all []pipelineJob) {
	var file struct {
		Jobs yaml.Node
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &file))
	for n := 0; n < len(file.Jobs.Content); n += 2 {
		var job struct {
			If    string
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
		require.NoError(t, file.Jobs.Content[n+1].Decode(&job))
		j := pipelineJob{name: file.Jobs.Content[n].Value, request: job.If == "github.ref_type != 'tag'"}
		if !j.request {
			require.Equal(t, "github.ref_type == 'tag'", job.If)
		}
		for _, step := range job.Steps {
			if step.Run == "" {
				continue
			}
			assert.NotContains(t, step.Run, "${{", "values of events come through the environment")
			var env []string
			for k, v := range step.Env {
				env = append(env, k+"="+valuesOf(v))
			}
			j.steps = append(j.steps, pipelineStep{script: step.Run, env: env})
		}
		all = append(all, j)
	}
	return all
}

func jobsOfGitLab(t *testing.T, text string) (all []pipelineJob) {
	var file yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &file))
	top := file.Content[0].Content
	var project map[string]string
	for n := 0; n < len(top); n += 2 {
		if top[n].Value == "variables" {
			require.NoError(t, top[n+1].Decode(&project))
		}
		var job struct {
			Script    []string
			Variables map[string]string
			Rules     []struct{ If string }
		}
		if top[n+1].Kind != yaml.MappingNode || top[n+1].Decode(&job) != nil || len(job.Script) == 0 {
			continue
		}
		// The caches stay where they are, for all of these pipelines build the same.
		ids := strings.NewReplacer("$CI_COMMIT_SHA", "0123456", "$CI_PIPELINE_ID", "7")
		env := []string{"RUN=" + ids.Replace(project["RUN"]), "CI_PROJECT_DIR=/nowhere", "DOCKER_CONFIG=" + project["DOCKER_CONFIG"]}
		for _, match := range regexp.MustCompile(`\$(\w+_(?:USERNAME|PASSWORD))`).FindAllStringSubmatch(text, -1) {
			env = append(env, match[1]+"=secret")
		}
		j := pipelineJob{name: top[n].Value, request: job.Rules[0].If == "$CI_COMMIT_TAG == null"}
		for _, script := range job.Script {
			j.steps = append(j.steps, pipelineStep{script: script, env: env})
		}
		all = append(all, j)
	}
	return all
}

func jobsOfJenkins(t *testing.T, text string) (all []pipelineJob) {
	var env []string
	for _, match := range regexp.MustCompile(`Variable: '(\w+)'`).FindAllStringSubmatch(text, -1) {
		env = append(env, match[1]+"=secret")
	}
	for _, part := range strings.Split(text, "stage('")[1:] {
		name, rest, _ := strings.Cut(part, "'")
		j := pipelineJob{name: name, request: strings.Contains(rest, "changeRequest()")}
		for _, match := range regexp.MustCompile(`(?s)(CHANGE_FORK == null.*?)?sh '''(.*?)'''`).FindAllStringSubmatch(rest, -1) {
			assert.NotContains(t, match[2], `\`, "Groovy would read it")
			j.steps = append(j.steps, pipelineStep{match[2], env, match[1] != ""})
		}
		if name != "build" { // that one only holds the others
			all = append(all, j)
		}
	}
	for _, pair := range []string{"{}", "()", "[]"} {
		assert.Equal(t, strings.Count(text, pair[:1]), strings.Count(text, pair[1:]), pair)
	}
	return all
}
