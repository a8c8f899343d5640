package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pipelineCase is a pipeline to run.
type pipelineCase struct {
	system, engine string
	split          bool
	// login is true if the base is in a private registry, which --login names.
	login bool
	// folder is the directory of the configuration, which -f names.
	folder string
	// from is true if an image joins an existing one.
	from bool
}

// standIns replace programs that a test cannot run.
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
  for option; do
    case "$option" in --target_pattern_file=*) file=${option#*=} ;; esac
  done
  while read -r label; do
    label=${label#//:}; image=${label%%_*}; platform=${label#*_}; platform=${platform%.layout}
    multiarch build -q --platform "${platform//_//}" --output "bazel-bin/$label" "$image" </dev/null
  done <"$file" ;;
*) exit 2 ;;
esac
`,
}

// pipelineMachine is a machine of a CI system with a checkout.
type pipelineMachine struct {
	*testing.T
	services
	c pipelineCase
	// docker is the directory of the machine's own logins, temp the one for logins of a job.
	bin, docker, temp string
}

func newPipelineMachine(t *testing.T, c pipelineCase) pipelineMachine {
	m := pipelineMachine{t, services{t.TempDir(), ""}, c, t.TempDir(), t.TempDir(), t.TempDir()}
	m.write(t, "go.mod", "module example.com/hello\n\ngo 1.24\n")
	m.write(t, "MODULE.bazel", "module(name = \"hello\")\n")
	m.write(t, ".gitignore", "bazel-bin\nbazel-targets.txt\nrelease.json\n")
	m.program("hello")
	for name, script := range standIns {
		require.NoError(t, os.WriteFile(filepath.Join(m.bin, name), []byte(script), 0o755))
	}
	return m
}

// program writes the program of all images, which prints text.
func (m pipelineMachine) program(text string) {
	m.write(m.T, path.Join(m.c.folder, "main.go"), "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\""+text+
		"\") }\n")
}

func (m pipelineMachine) try(script string, env ...string) (string, error) {
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = m.dir
	cmd.Env = append(append(os.Environ(), "PATH="+m.bin+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+m.docker,
		"RUNNER_TEMP="+m.temp, "GITHUB_ENV="+filepath.Join(m.temp, "env"), "WORKSPACE_TMP="+m.temp), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m pipelineMachine) run(script string, env ...string) string {
	m.Helper()
	out, err := m.try(script, env...)
	require.NoError(m, err, "%s\n%s", script, out)
	return out
}

func (m pipelineMachine) commit() {
	m.Helper()
	m.run("git init -q && git add . && git -c user.name=x -c user.email=x@example.com commit -q -m x")
}

// as runs the steps of a job for a tag, or for a proposed change if tag is "". If known is false, passwords are empty,
// and steps that need them are skipped. No login remains afterwards.
func (m pipelineMachine) as(j pipelineJob, tag string, known bool) (output string, err error) {
	m.Helper()
	require.NotEmpty(m, j.steps, j.name)
	require.NoError(m, os.WriteFile(filepath.Join(m.temp, "env"), nil, 0o644))
	with := func(step pipelineStep) []string {
		env := building(m.c.system, tag)
		for _, pair := range step.env {
			if !known && strings.HasSuffix(pair, "="+password) {
				pair = strings.TrimSuffix(pair, password)
			}
			env = append(env, strings.ReplaceAll(pair, "$CI_PROJECT_DIR.tmp", m.temp))
		}
		more, err := os.ReadFile(filepath.Join(m.temp, "env")) // what earlier steps have left
		require.NoError(m, err)
		return append(env, strings.Fields(string(more))...)
	}
	for _, step := range j.steps {
		if err == nil && (known || !step.secret) {
			var out string
			out, err = m.try(step.script, with(step)...)
			output += out
		}
	}
	logins, _ := os.ReadFile(filepath.Join(m.temp, "docker", "config.json"))
	assert.Equal(m, known, len(logins) > 0, "a login in %s", logins)
	for _, step := range j.cleanup {
		m.run(step.script, with(step)...)
	}
	if m.c.system == "github" {
		require.Empty(m, j.cleanup)
		require.NoError(m, os.RemoveAll(filepath.Join(m.temp, "docker")))
	}
	assert.NoFileExists(m, filepath.Join(m.temp, "docker", "config.json"))
	assert.NoFileExists(m, filepath.Join(m.docker, "config.json"), "logins do not change those of the user")
	return output, err
}
