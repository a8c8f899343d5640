package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
	"github.com/multiarch-build/multiarch/tools/oci/reference/referencetest"
)

// TestHostilePipelines uses hostile values for every setting that could reach a pipeline. Each is an error, or the
// pipeline has the usual jobs and steps, and these run only the programs that the pipeline names.
func TestHostilePipelines(t *testing.T) {
	const yaml = `version: 1
registry: REGISTRY
platforms: PLATFORMS
images:
  IMAGE: {go: {package: .}, push: {repository: REPOSITORY, tags: [TAG], per_platform: PER}}
`
	sound := map[string]string{
		"REGISTRY":   "ghcr.io/team",
		"PLATFORMS":  "[linux/amd64, linux/arm64]",
		"IMAGE":      "hello",
		"REPOSITORY": "hello",
		"TAG":        "latest",
		"PER":        "{{.Repository}}-{{.Platform.Official}}",
	}
	flags := map[string]func(value string) []string{
		"--registry": func(v string) []string { return []string{"--registry", v} },
		"--login":    func(v string) []string { return []string{"--login", v} },
		"--no-login": func(v string) []string { return []string{"--no-login", v} },
		"--runner":   func(v string) []string { return []string{"--runner", "amd64=" + v} },
		"--output":   func(v string) []string { return []string{"--output", "out/" + v} },
	}
	values := referencetest.Hosts()
	if !testmatrix.Full() {
		var some []string
		for n := 0; n < len(values); n += 3 {
			some = append(some, values[n])
		}
		values = append(some, "a;touch X;b.com", "a$(touch X)b.com", "a`touch X`b.com", "${{ github.token }}.com",
			"$[[ inputs.x ]].com", "a'''b.com", "a\nb.com")
	}
	bin := t.TempDir()
	for _, name := range []string{"multiarch", "bazel", "sudo", "apt-get", "git"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\ncat >/dev/null </dev/null\n"), 0o755))
	}
	shape := map[string]string{} // of the sound pipeline, by system
	ran := map[string]bool{}     // scripts, by folder
	cases, written := 0, 0
	try := func(what, system, value string, fields map[string]string, dir string, args ...string) {
		t.Helper()
		cases++
		text := yaml
		for field, word := range fields {
			if field != "PLATFORMS" || word != sound[field] {
				quoted, err := json.Marshal(word)
				require.NoError(t, err)
				word = string(quoted)
			}
			text = strings.ReplaceAll(text, field, word)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "multiarch.yaml"), []byte(text), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/x\n\ngo 1.24\n"), 0o644))
		t.Chdir(dir)
		command := append([]string{"ci", system, "-q", "--split", "--multiarch", "multiarch", "--bazel", "bazel"}, args...)
		if !strings.Contains(strings.Join(args, " "), "--output") {
			command = append(command, "--output", "pipeline")
		}
		var out strings.Builder
		if execute(t.Context(), command, strings.NewReader(""), &out, io.Discard) != 0 {
			return
		}
		written++
		file := filepath.Join(dir, "pipeline")
		if !strings.Contains(strings.Join(command, " "), "--output pipeline") {
			file = args[1]
		}
		content, err := os.ReadFile(file)
		require.NoError(t, err, "%s %s %q", system, what, value)
		jobs := jobsOf(t, system, string(content))
		var names []string
		for _, j := range jobs {
			names = append(names, fmt.Sprint(j.name, len(j.steps)))
			for _, step := range j.steps {
				if ran[dir+step.script] {
					continue
				}
				ran[dir+step.script] = true
				cmd := exec.Command("sh", "-c", step.script)
				cmd.Dir = dir
				cmd.Env = append([]string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + dir, "RUNNER_TEMP=" + dir,
					"GITHUB_ENV=/dev/null", "WORKSPACE_TMP=" + dir, "RUN=1"}, append(building(system, "v1"), step.env...)...)
				output, err := cmd.CombinedOutput()
				assert.NoError(t, err, "%s %s %q: %s\n%s", system, what, value, step.script, output)
			}
		}
		if shape[system] == "" {
			shape[system] = strings.Join(names, " ")
		}
		if what != "--no-login" && what != "--login" && what != "REGISTRY" && what != "REPOSITORY" && what != "--registry" {
			assert.Equal(t, shape[system], strings.Join(names, " "), "%s %s %q", system, what, value)
		}
		assert.NoFileExists(t, filepath.Join(dir, "X"), "%s %s %q", system, what, value)
	}
	for _, system := range []string{"github", "gitlab", "jenkins"} {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
		require.NoError(t, os.Mkdir(filepath.Join(dir, "out"), 0o755))
		try("nothing", system, "", sound, dir)
		require.NotEmpty(t, shape[system])
		for _, value := range values {
			if strings.ContainsAny(value, "\x00") {
				continue // neither a file nor an argument has one
			}
			for field := range sound {
				fields := map[string]string{}
				for k, v := range sound {
					fields[k] = v
				}
				fields[field] = value
				try(field, system, value, fields, dir)
			}
			for flag, args := range flags {
				try(flag, system, value, sound, dir, args(value)...)
			}
			if folder := filepath.Join(dir, "in", value); value != "" && os.MkdirAll(folder, 0o755) == nil &&
				filepath.Dir(folder) == filepath.Join(dir, "in") {
				content := "version: 1\nregistry: ghcr.io/x\nplatforms: [linux/amd64, linux/arm64]\n" +
					"images: {a: {go: {package: .}}}\n"
				require.NoError(t, os.WriteFile(filepath.Join(folder, "multiarch.yaml"), []byte(content), 0o644))
				try("-f", system, value, sound, dir, "-f", filepath.Join(folder, "multiarch.yaml"))
			}
		}
	}
	t.Logf("%d cases, of which %d have a pipeline, with %d different scripts", cases, written, len(ran))
	require.Greater(t, cases, 1000)
	require.Greater(t, written, 3)
}
