package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// password is the user name and the password of the registries in these tests.
const password = "secret"

// private rejects requests without the password.
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

// TestPipelinesRun runs the shell steps of every generated pipeline, as its CI system would, against a private registry
// on loopback. A proposed change uploads nothing, even if it comes from a fork without the password. A tag uploads
// everything, tags last. sudo and apt-get do nothing here, and the embedded engine replaces Bazel.
func TestPipelinesRun(t *testing.T) {
	skipShort(t)
	tool(t, "git")
	tool(t, "qemu-aarch64-static")
	for _, system := range []string{"github", "gitlab", "jenkins"} {
		for _, engine := range []string{"embedded", "bazel"} {
			for _, form := range []string{"single", "split"} {
				c := pipelineCase{system: system, engine: engine, split: form == "split"}
				// Options that any case could have are distributed over the cases.
				switch system + " " + engine + " " + form {
				case "github embedded split", "gitlab embedded single", "jenkins bazel single":
					c.login = true
				case "jenkins embedded single", "gitlab embedded split":
					c.folder = "deploy"
				case "jenkins embedded split":
					c.from = true
				}
				if !testmatrix.Full() && !c.representative() {
					continue
				}
				t.Run(system+" "+engine+" "+form, func(t *testing.T) { runPipeline(t, c) })
			}
		}
	}
}

// representative reports whether a case belongs to the subset that covers each system and each option.
func (c pipelineCase) representative() bool {
	return c.split && c.engine == "embedded" && c.system != "gitlab" || !c.split && c.engine == "bazel" &&
		c.system == "gitlab"
}

const pipelineConfig = `version: 1
registry: registry.example.com/team
bases:
  stored: {image: "BASES/stored:1"}
images:
  hello:
    go: {package: .}
    base: stored
    platforms: [linux/amd64, linux/arm64]
    smoke: {stdout: ^hello}
    push: {tags: [latest, "{{.Git.Tag}}"], immutable: ["v*"]}
  tool:
    go: {package: .}
    platforms: [linux/amd64]
    push: {tags: [latest]}
`

const joinedConfig = `  legacy: {from: ["BASES/program:1"], smoke: {stdout: ^hello}, push: {tags: [latest]}}
`

const elsewhereConfig = `version: 1
images:
  program: {go: {package: .}, platforms: [linux/amd64, linux/arm64], push: {repository: BASES/program, tags: ["1"]}}
`

// storeBase pushes an index of two platforms to a registry.
func storeBase(t *testing.T, reference string) {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, arch := range []string{"amd64", "arm64"} {
		layers := must(must(random.Image(64, 1)).Layers())
		img := must(mutate.AppendLayers(empty.Image, layers...))
		img = must(mutate.ConfigFile(img, &v1.ConfigFile{
			OS:           "linux",
			Architecture: arch,
			RootFS:       must(img.ConfigFile()).RootFS,
		}))
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	require.NoError(t, remote.WriteIndex(must(name.ParseReference(reference)), index))
}

func runPipeline(t *testing.T, c pipelineCase) {
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	stored, storedBases := registry.New(""), registry.New("")
	host, open, bases := serve(private(stored)), serve(stored), serve(storedBases)
	storeBase(t, bases+"/stored:1")
	flags := " " + c.system + " --output pipeline --multiarch multiarch --bazel bazel --engine " + c.engine
	if c.split {
		flags += " --split"
	}
	if c.login {
		bases = serve(private(storedBases))
		flags += " --login " + bases
	}
	file := path.Join(c.folder, "multiarch.yaml")
	if c.folder != "" {
		flags += " -f " + file
	}
	m := newPipelineMachine(t, c)
	wanted := pipelineConfig
	if c.from {
		wanted += joinedConfig
		m.write(t, "elsewhere.yaml", strings.ReplaceAll(elsewhereConfig, "BASES", bases))
		m.run("multiarch -f elsewhere.yaml push")
	}
	m.write(t, file, strings.ReplaceAll(wanted, "BASES", bases))
	lock := "multiarch -f " + file + " lock"
	if c.login {
		lock = "printf secret | multiarch login " + bases + " -u secret --password-stdin && " + lock
	}
	m.run(lock, "DOCKER_CONFIG="+t.TempDir())
	m.run("git init -q && multiarch ci" + flags + " && multiarch ci" + flags + " --check")
	text := string(must(os.ReadFile(filepath.Join(m.dir, "pipeline"))))
	assert.Contains(t, text, "login registry.example.com")
	assert.NotRegexp(t, `\b(hello|tool|linux/|legacy)\b`, strings.ReplaceAll(text, "no credentials for", ""),
		"neither images nor platforms")
	// ci --check compares with this configuration, not with the one whose registry is on loopback.
	pristine := t.TempDir()
	m.run("cp -r . " + pristine)
	checks := regexp.MustCompile(`(?m)^(\s*)(multiarch (?:-f \S+ )?ci .* --check)$`)
	assert.Regexp(t, checks, text)
	text = checks.ReplaceAllString(text, "$1(cd "+pristine+" && $2)")
	assert.Contains(t, text, "lock --check")

	config := strings.NewReplacer("BASES", bases, "registry.example.com", host).Replace(wanted)
	m.write(t, file, config)
	if c.engine == "bazel" {
		m.run("multiarch generate")
	}
	m.commit()
	jobs := jobsOf(t, c.system, strings.ReplaceAll(text, "registry.example.com", host))

	digest := func(reference string) string {
		d, err := remote.Head(must(name.ParseReference(open + "/" + reference)))
		if err != nil {
			return ""
		}
		return d.Digest.String()
	}
	var ran []string
	release := func(tag string) (released pushedMetadata) {
		t.Helper()
		ran = nil
		for _, j := range jobs {
			if !j.request {
				assert.Empty(t, digest("team/hello:"+tag), "before %s", j.name)
				output, err := m.as(j, tag, true)
				require.NoError(t, err, output)
				ran = append(ran, j.name)
			}
		}
		require.NoError(t, json.Unmarshal(must(os.ReadFile(filepath.Join(m.dir, "release.json"))), &released))
		hello := released["hello"][host+"/team/hello"]
		assert.Equal(t, []string{"latest", tag}, hello.Tags)
		assert.Len(t, hello.Platforms, 2)
		for _, tag := range hello.Tags {
			assert.Equal(t, hello.Digest, digest("team/hello:"+tag))
		}
		assert.NotEmpty(t, digest("team/tool:latest"))
		return released
	}
	preview := func(known bool) string {
		t.Helper()
		var all string
		for _, j := range jobs {
			if j.request {
				output, err := m.as(j, "", known)
				if c.login && !known && digest("team/hello:latest") == "" {
					assert.Error(t, err, "a fork cannot read a private base")
					assert.Contains(t, output, bases)
					return output
				}
				require.NoError(t, err, output)
				all += output
			}
		}
		assert.Contains(t, all, "team/hello:latest ")
		return all
	}

	// Changes proposed before the first tag, from a fork and from the repository itself.
	assert.NotContains(t, preview(false), "team/hello:v")
	assert.Contains(t, preview(true), "team/hello:latest new")
	assert.Empty(t, must(remote.Catalog(t.Context(), must(name.NewRegistry(open)))), "a proposed change sends nothing")

	m.run("git tag v1.0.0")
	first := release("v1.0.0")
	want := []string{"release"}
	if c.split {
		want = []string{"build-amd64", "build-arm64", "release"}
	}
	assert.Equal(t, want, ran)
	run := map[string]string{
		"github":  "0123456-7",
		"gitlab":  "0123456-7",
		"jenkins": "[0-9a-f]{40}-[0-9]{1,10}-1",
	}[c.system]
	parts := func() (all []string) {
		for _, tag := range must(remote.List(must(name.NewRepository(open + "/team/hello")))) {
			if strings.HasPrefix(tag, "ci-") {
				all = append(all, tag)
				assert.Regexp(t, "^ci-"+run+"-(amd64|arm64)$", tag)
			}
		}
		return all
	}
	assert.Len(t, parts(), map[bool]int{true: 2}[c.split])

	// A change proposed after it does not publish the immutable v1.0.0 again.
	m.program("hello again")
	m.commit()
	output := preview(true)
	assert.Contains(t, output, "team/hello:latest "+first["hello"][host+"/team/hello"].Digest+" -> sha256:")
	assert.NotContains(t, output, "v1.0.0")

	// Two tags on one commit are two releases, which do not share parts: run numbers are unique in a repository of GitHub
	// and GitLab, and in the job of a tag in Jenkins.
	m.run("git tag v1.1.0 && git tag v1.1.1")
	release("v1.1.0")
	before := parts()
	release("v1.1.1")
	if c.system == "jenkins" {
		assert.Len(t, parts(), len(before)+map[bool]int{true: 2}[c.split])
	}
	assert.NotEqual(t, digest("team/hello:v1.0.0"), digest("team/hello:v1.1.0"))
	assert.Equal(t, digest("team/hello:v1.1.1"), digest("team/hello:v1.1.0"))

	// An image that is added later is released by the pipeline as it is.
	added := "  added: {go: {package: .}, platforms: [linux/386, linux/arm64, linux/s390x], push: {tags: [latest]}}\n"
	m.write(t, file, config+added)
	m.run("cd " + pristine + " && cat >>" + file + " && multiarch ci" + flags + " --check" + " <<'EOF'\n" + added +
		"EOF\n")
	if c.engine == "bazel" {
		m.run("multiarch generate")
	}
	m.commit()
	m.run("git tag v3.0.0")
	release("v3.0.0")
	assert.NotEmpty(t, digest("team/added:latest"))

	if c.from {
		m.triesLegacy(jobs, digest)
	}

	// The lock file is stale.
	m.write(t, file, strings.ReplaceAll(config, "stored:1", "stored:2"))
	for _, j := range jobs {
		if j.request {
			_, err := m.as(j, "", false)
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			assert.Equal(t, exitDiffers, exit.ExitCode(), "lock --check")
		}
	}
}

// triesLegacy replaces the image that legacy joins. If the new one fails its smoke test, no tag moves.
func (m pipelineMachine) triesLegacy(jobs []pipelineJob, digest func(reference string) string) {
	m.Helper()
	before := digest("team/legacy:latest")
	require.NotEmpty(m, before)
	m.program("good bye")
	m.run("multiarch -f elsewhere.yaml push && git checkout -q . && git tag v2.0.0")
	for _, j := range jobs {
		if j.request {
			continue
		}
		output, err := m.as(j, "v2.0.0", true)
		if j.name != "release" {
			require.NoError(m, err, output)
			continue
		}
		assert.Error(m, err)
		assert.Contains(m, output, "legacy, linux/arm64: smoke test: stdout does not match")
	}
	assert.Equal(m, before, digest("team/legacy:latest"))
	assert.Empty(m, digest("team/hello:v2.0.0"))
}

// pushedMetadata is the metadata of a release, by image and repository.
type pushedMetadata map[string]map[string]struct {
	Digest    string
	Tags      []string
	Platforms map[string]string
}

// TestOwnGo checks that the Go version that pipelines install can compile multiarch.
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
