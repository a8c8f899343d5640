package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/config"
)

// TestCheckout makes commits and tags, and holds what templates say about them; Bazel is told the same by
// workspace_status.sh.
func TestCheckout(t *testing.T) {
	tool(t, "git")
	for _, name := range []string{"GITHUB_REF_TYPE", "GITHUB_REF_NAME", "CI_COMMIT_TAG", "TAG_NAME"} {
		t.Setenv(name, "") // those of whoever runs this test
	}
	status, err := filepath.Abs("../rules/workspace_status.sh")
	require.NoError(t, err)
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	commit := func() { t.Helper(); git("commit", "-q", "--allow-empty", "-m", "x") }
	said := func() *config.Git {
		t.Helper()
		facts := checkout(t.Context(), dir)
		cmd := exec.Command(status)
		cmd.Dir = dir
		out, err := cmd.Output()
		require.NoError(t, err)
		if facts == nil {
			assert.Empty(t, out)
			return nil
		}
		var want strings.Builder
		for f, v := range reflect.ValueOf(*facts).Fields() {
			var key strings.Builder
			for _, r := range f.Name {
				if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
					key.WriteByte('_')
				}
				key.WriteRune(r)
			}
			value := "false"
			if f.Type.Kind() == reflect.String {
				value = v.String()
			} else if v.Bool() {
				value = "true"
			}
			want.WriteString("STABLE_GIT" + strings.ToUpper(key.String()) + " " + value + "\n")
		}
		assert.Equal(t, want.String(), string(out))
		return facts
	}

	assert.Nil(t, said(), "no checkout")
	git("init", "-q", "-b", "main")
	assert.Nil(t, said(), "no commit")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	git("add", "file")
	commit()
	facts := said()
	assert.Equal(t, "main", facts.Branch)
	assert.Empty(t, facts.Tag)
	assert.Equal(t, facts.ShortCommit, facts.Describe)

	git("tag", "v1.0.0")
	facts = said()
	assert.Equal(t, "v1.0.0", facts.Tag)
	assert.Equal(t, "v1.0.0", facts.Describe)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("changed"), 0o644))
	facts = said()
	assert.True(t, facts.Dirty)
	assert.Equal(t, "v1.0.0-dirty", facts.Describe)
	git("checkout", "-q", "file")

	commit()
	facts = said()
	assert.Empty(t, facts.Tag, "an older tag is not that of this commit")
	assert.Equal(t, "v1.0.0-1-g"+facts.ShortCommit, facts.Describe)

	// Several tags: the highest, however they were made, and in whatever order.
	for _, tag := range []string{"v1.9.0", "v1.10.0", "v1.10.0-rc1", "v1.2.0"} {
		git("tag", tag)
	}
	git("tag", "-a", "-m", "annotated", "v1.3.0")
	assert.Equal(t, "v1.10.0", said().Tag)
	for _, env := range [][]string{
		{"CI_COMMIT_TAG=v1.9.0"}, {"TAG_NAME=v1.9.0"}, {"GITHUB_REF_TYPE=tag", "GITHUB_REF_NAME=v1.9.0"},
		{"CI_COMMIT_TAG=v1.9.0", "TAG_NAME=v1.2.0", "GITHUB_REF_TYPE=tag", "GITHUB_REF_NAME=v1.2.0"}, {"CI_COMMIT_TAG=v1.0.0", "TAG_NAME=v1.9.0"},
	} {
		t.Run(strings.Join(env, " "), func(t *testing.T) {
			for _, pair := range env {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			facts := said()
			assert.Equal(t, "v1.9.0", facts.Tag)
			assert.Equal(t, "v1.9.0", facts.Describe)
		})
	}
	for name, env := range map[string][2]string{"a branch": {"GITHUB_REF_NAME", "v1.9.0"}, "another commit's": {"CI_COMMIT_TAG", "v1.0.0"}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(env[0], env[1])
			assert.Equal(t, "v1.10.0", said().Tag)
		})
	}
}
