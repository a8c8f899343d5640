package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// pipelineJob is a job of a pipeline.
type pipelineJob struct {
	name    string
	request bool // for a proposed change, else for a tag
	steps   []pipelineStep
	// cleanup runs after the steps, even if they fail. GitHub has none, because its runner empties RUNNER_TEMP.
	cleanup []pipelineStep
}

type pipelineStep struct {
	script string
	env    []string
	// secret is true if the step is skipped for forks.
	secret bool
}

// jobsOf returns the jobs of a pipeline.
func jobsOf(t *testing.T, system, text string) []pipelineJob {
	return map[string]func(*testing.T, string) []pipelineJob{
		"github":  jobsOfGitHub,
		"gitlab":  jobsOfGitLab,
		"jenkins": jobsOfJenkins,
	}[system](t, text)
}

// building returns the environment of a job for a tag, or for a proposed change if tag is "".
func building(system, tag string) []string {
	// The test itself may run on such a system, so that all variables must be set.
	env := []string{
		"GITHUB_REF_TYPE=branch", "GITHUB_REF_NAME=7/merge", "CI_COMMIT_TAG=", "TAG_NAME=", "JOB_NAME=team/hello/PR-7",
		"BUILD_NUMBER=1",
	}
	if tag == "" {
		return env
	}
	return append(env, map[string][]string{
		"github": {"GITHUB_REF_TYPE=tag", "GITHUB_REF_NAME=" + tag},
		"gitlab": {"CI_COMMIT_TAG=" + tag},
		// Jenkins numbers the builds of a job, and each tag is a job of its own.
		"jenkins": {"TAG_NAME=" + tag, "JOB_NAME=team/hello/" + tag},
	}[system]...)
}

// valuesOf are the variables that GitHub replaces.
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
	var always struct {
		After []string `yaml:"after_script"`
	}
	for n := 0; n < len(top); n += 2 {
		if top[n].Value == "variables" {
			require.NoError(t, top[n+1].Decode(&project))
		}
		if top[n].Value == "default" {
			require.NoError(t, top[n+1].Decode(&always))
		}
		var job struct {
			Script    []string
			Variables map[string]string
			Rules     []struct{ If string }
		}
		if top[n+1].Kind != yaml.MappingNode || top[n+1].Decode(&job) != nil || len(job.Script) == 0 {
			continue
		}
		// Keep the caches, because all pipelines build the same images.
		ids := strings.NewReplacer("$CI_COMMIT_SHA", "0123456", "$CI_PIPELINE_ID", "7")
		env := []string{
			"RUN=" + ids.Replace(project["RUN"]), "CI_PROJECT_DIR=/nowhere", "DOCKER_CONFIG=" + project["DOCKER_CONFIG"],
		}
		for _, match := range regexp.MustCompile(`\$(\w+_(?:USERNAME|PASSWORD))`).FindAllStringSubmatch(text, -1) {
			env = append(env, match[1]+"=secret")
		}
		j := pipelineJob{name: top[n].Value, request: job.Rules[0].If == "$CI_COMMIT_TAG == null"}
		for _, script := range job.Script {
			j.steps = append(j.steps, pipelineStep{script: script, env: env})
		}
		for _, script := range always.After {
			j.cleanup = append(j.cleanup, pipelineStep{script: script, env: env})
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
		for _, match := range regexp.MustCompile(`(?s)(CHANGE_FORK == null.*?)?sh '''(.*?)'''`).FindAllStringSubmatch(rest,
			-1) {
			assert.NotContains(t, match[2], `\`, "Groovy would read it")
			j.steps = append(j.steps, pipelineStep{match[2], env, match[1] != ""})
		}
		for _, match := range regexp.MustCompile(`always \{ sh '([^']*)' \}`).FindAllStringSubmatch(rest, -1) {
			j.cleanup = append(j.cleanup, pipelineStep{script: match[1]})
		}
		if name != "build" { // that one only holds the others
			all = append(all, j)
		}
	}
	code := quotedText.ReplaceAllString(text, "''")
	for _, pair := range []string{"{}", "()", "[]"} {
		assert.Equal(t, strings.Count(code, pair[:1]), strings.Count(code, pair[1:]), pair)
	}
	return all
}

// quotedText matches strings of Groovy, which may contain any bracket.
var quotedText = regexp.MustCompile(`(?s)'''.*?'''|'(?:\\.|[^'\\\n])*'`)
