package git_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/git"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// ciVariables are unset, because the tests may run in a CI system.
var ciVariables = []string{
	"GITHUB_REF_TYPE", "GITHUB_REF_NAME", "GITHUB_SHA", "CI_COMMIT_TAG", "CI_COMMIT_SHA", "CI_COMMIT_BRANCH", "TAG_NAME",
	"GIT_COMMIT", "BRANCH_NAME",
}

// repository is a git repository for a test.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T, args ...string) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatal(err)
		}
		t.Skip("git is not installed")
	}
	for _, name := range ciVariables {
		t.Setenv(name, "")
	}
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(t.TempDir(), "gitconfig"))
	t.Setenv("GIT_CONFIG_SYSTEM", "/dev/null")
	r := repository{t, t.TempDir()}
	r.git(append([]string{"init", "-q", "-b", "main"}, args...)...)
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	settings := []string{"-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "protocol.file.allow=always"}
	cmd := exec.Command("git", append(settings, args...)...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "git %s: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (r repository) write(name, content string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(r.t, os.WriteFile(file, []byte(content), 0o644))
}

func (r repository) commit() { r.t.Helper(); r.git("commit", "-q", "--allow-empty", "-m", "x") }

// description holds all results for a checkout.
type description struct {
	config.Head
	tag, describe string
	dirty         bool
	warnings      []string
}

func (r repository) checkout(prefix string) (f description, err error) {
	c := git.Open(r.t.Context(), r.dir, os.Getenv, func(w string) { f.warnings = append(f.warnings, w) })
	if f.Head, err = c.Head(); err != nil {
		return f, err
	}
	if f.tag, err = c.Tag(prefix); err != nil {
		return f, err
	}
	if f.describe, err = c.Describe(prefix); err != nil {
		return f, err
	}
	f.dirty, err = c.Dirty()
	return f, err
}

// status returns the output of the workspace status script, by key.
func (r repository) status() (keys map[string]string, stderr string) {
	r.t.Helper()
	script, err := filepath.Abs("../../rules/workspace_status.sh")
	require.NoError(r.t, err)
	cmd := exec.Command(script)
	cmd.Dir = r.dir
	var messages strings.Builder
	cmd.Stderr = &messages
	out, err := cmd.Output()
	require.NoError(r.t, err, messages.String())
	keys = map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		keys[key] = value
	}
	return keys, messages.String()
}

// describe returns the results for a prefix and checks that they are the same as those of the workspace status
// script. The script only knows the prefixes in files.
func (r repository) describe(prefix string) description {
	r.t.Helper()
	f, err := r.checkout(prefix)
	require.NoError(r.t, err)
	suffix := config.StatusSuffix(prefix)
	keys, stderr := r.status()
	dirty := "false"
	if f.dirty {
		dirty = "true"
	}
	want := map[string]string{
		"STABLE_GIT_COMMIT": f.Commit, "STABLE_GIT_SHORT_COMMIT": f.Commit[:7],
		"STABLE_GIT_BRANCH": f.Branch, "STABLE_GIT_COMMIT_TIME": f.Time, "STABLE_GIT_DIRTY": dirty,
		"STABLE_GIT_TAG" + suffix: f.tag, "STABLE_GIT_DESCRIBE" + suffix: f.describe,
	}
	for key, value := range want {
		got, ok := keys[key]
		assert.True(r.t, ok, "%s is missing", key)
		assert.Equal(r.t, value, got, key)
	}
	if f.warnings == nil {
		assert.Empty(r.t, stderr)
	}
	return f
}
