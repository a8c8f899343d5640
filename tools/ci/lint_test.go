package ci_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLint runs linters on the golden files: actionlint for GitHub (which uses shellcheck if it is installed), and
// gitlab-ci-local with GitLab's schema. For Jenkins, see TestGroovy.
func TestLint(t *testing.T) {
	for system, lint := range map[string]struct {
		program string
		args    []string
		file    string
	}{
		"github": {"actionlint", []string{"-no-color", ".github/workflows/multiarch.yml"}, ".github/workflows/multiarch.yml"},
		"gitlab": {"gitlab-ci-local", []string{"--list"}, ".gitlab-ci.yml"},
	} {
		t.Run(system, func(t *testing.T) {
			program := program(t, lint.program)
			goldens, err := filepath.Glob("testdata/" + system + "_*")
			require.NoError(t, err)
			require.Len(t, goldens, 4)
			for _, golden := range goldens {
				text, err := os.ReadFile(golden)
				require.NoError(t, err)
				dir := t.TempDir()
				require.NoError(t, exec.Command("git", "init", "-q", dir).Run())
				file := filepath.Join(dir, lint.file)
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, text, 0o644))
				cmd := exec.Command(program, lint.args...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				assert.NoError(t, err, "%s: %s", golden, out)
			}
		})
	}
}

// program returns the path of a required program, or skips or fails the test.
func program(t *testing.T, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatal(err)
		}
		t.Skipf("%s is not installed", name)
	}
	return found
}

// TestGroovy checks the syntax of Jenkinsfiles with the Groovy compiler.
func TestGroovy(t *testing.T) {
	groovy := program(t, "groovy")
	goldens, err := filepath.Glob("testdata/jenkins_*")
	require.NoError(t, err)
	require.Len(t, goldens, 4)
	const compile = "args.each { new GroovyShell().parse(new File(it)) }; println args.length"
	out, err := exec.Command(groovy, append([]string{"-e", compile}, goldens...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "4", strings.TrimSpace(string(out)))
	broken := filepath.Join(t.TempDir(), "Jenkinsfile")
	require.NoError(t, os.WriteFile(broken, []byte("pipeline { stages { "), 0o644))
	assert.Error(t, exec.Command(groovy, "-e", compile, broken).Run(), "the compiler must report invalid syntax")
}

// TestShellcheck checks the scripts of Jenkinsfiles, which are the same as those of the other systems.
func TestShellcheck(t *testing.T) {
	shellcheck := program(t, "shellcheck")
	goldens, err := filepath.Glob("testdata/jenkins_*")
	require.NoError(t, err)
	for _, golden := range goldens {
		text, err := os.ReadFile(golden)
		require.NoError(t, err)
		parts := strings.Split(string(text), "'''")
		require.GreaterOrEqual(t, len(parts), 7, golden)
		for n := 1; n < len(parts); n += 2 {
			cmd := exec.Command(shellcheck, "--shell=sh", "-")
			cmd.Stdin = strings.NewReader(parts[n])
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s: %s", golden, out)
		}
	}
}
