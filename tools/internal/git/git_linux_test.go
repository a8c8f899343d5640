package git_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/internal/git"
)

func TestDescriptionOfACheckout(t *testing.T) {
	r := newRepository(t)
	_, err := r.checkout("")
	require.EqualError(t, err, "the git repository has no commits")
	keys, _ := r.status()
	assert.Empty(t, keys, "no commit")

	r.write("file", "")
	r.git("add", "file")
	r.commit()
	f := r.describe("")
	assert.Equal(t, "main", f.Branch)
	assert.Empty(t, f.tag)
	assert.Equal(t, f.Commit[:7], f.describe)
	assert.False(t, f.dirty)

	r.git("tag", "v1.0.0")
	f = r.describe("")
	assert.Equal(t, "v1.0.0", f.tag)
	assert.Equal(t, "v1.0.0", f.describe)
	r.write("file", "changed")
	r.write("untracked", "")
	f = r.describe("")
	assert.True(t, f.dirty)
	assert.Equal(t, "v1.0.0-dirty", f.describe)
	r.git("checkout", "-q", "file")
	assert.False(t, r.describe("").dirty, "untracked files do not count")

	r.commit()
	f = r.describe("")
	assert.Empty(t, f.tag, "tags of other commits do not count")
	assert.Equal(t, "v1.0.0-1-g"+f.Commit[:7], f.describe)
	r.git("tag", "zzz", "v1.0.0")
	r.git("tag", "-a", "-m", "annotated", "aaa", "v1.0.0")
	assert.Equal(t, "v1.0.0-1-g"+f.Commit[:7], r.describe("").describe, "highest version of several tags")

	// Settings that change the output of git.
	for _, c := range [][2]string{
		{"column.ui", "always"}, {"tag.sort", "refname"}, {"log.showSignature", "true"}, {"color.ui", "always"},
		{"log.date", "relative"}, {"versionsort.suffix", "x"},
	} {
		r.git("config", c[0], c[1])
	}
	f = r.describe("")
	assert.Equal(t, "v1.0.0-1-g"+f.Commit[:7], f.describe)

	r.git("branch", "v1.0.0") // a branch of the same name
	r.git("branch", "-f", "feature/a")
	r.git("checkout", "-q", "feature/a")
	assert.Equal(t, "feature/a", r.describe("").Branch)
	r.git("checkout", "-q", "refs/tags/v1.0.0")
	f = r.describe("")
	assert.Empty(t, f.Branch, "detached")
	assert.Equal(t, "v1.0.0", f.tag)
}

// TestHighestVersionWins creates lightweight and annotated tags in random order.
func TestHighestVersionWins(t *testing.T) {
	cases := []struct {
		want string
		tags []string
	}{
		{"v3.10.0", []string{"zzz", "v3.10.0"}},
		{"v1.10.0", []string{"v1.9.0", "v1.10.0", "v1.10.0-rc1", "v1.2.0"}},
		{"v1.0.0", []string{"v1.0.0-rc.9", "v1.0.0", "v1.0.0-alpha"}},
		{"v1.0.0-rc.10", []string{"v1.0.0-rc.9", "v1.0.0-rc.10", "v1.0.0-rc"}},
		{"v1.0.0-beta.1", []string{"v1.0.0-beta", "v1.0.0-beta.1", "v1.0.0-alpha.99"}},
		{"v1.0.0-alpha", []string{"v1.0.0-alpha", "v1.0.0-99"}},
		{"v3.10.0", []string{"v3", "v3.10", "v3.10.0", "latest"}},
		{"v0.9.0", []string{"v3", "v0.9.0"}},
		{"v3.10", []string{"v3", "v3.10", "v3.9"}},
		{"2.0.0", []string{"v1.0.0", "2.0.0"}},
		{"v1.0.0", []string{"1.0.0", "v1.0.0"}},
		{"v1.0.0", []string{"v1.0.0", "v1.0.0+build.7"}},
		{"v1.0.1+a", []string{"v1.0.0", "v1.0.1+a"}},
		{"v1.99999999999999999999.0", []string{"v1.99999999999999999999.0", "v1.99999999999999999998.9"}},
		{"v1.0.0", []string{"v1.02.0", "v1.0.0"}},
		{"v1.0.0", []string{"v1.0.0", "server/v9.0.0", "release-10"}},
		{"build-10", []string{"build-9", "build-10", "build-1"}},
		{"zzz", []string{"aaa", "zzz"}},
		{"v1.0.0-", []string{"v1.0.0-", "a"}},
		{"v2.0.0-x+y.z", []string{"v2.0.0-x+y.z", "v1.0.0"}},
	}
	for n, c := range cases {
		r := newRepository(t)
		r.commit()
		random := rand.New(rand.NewPCG(1, uint64(n)))
		random.Shuffle(len(c.tags), func(i, j int) { c.tags[i], c.tags[j] = c.tags[j], c.tags[i] })
		for i, tag := range c.tags {
			if i%2 == 0 {
				r.git("tag", tag)
			} else {
				r.git("tag", "-a", "-m", "annotated", tag)
			}
		}
		f := r.describe("")
		assert.Equal(t, c.want, f.tag, c.tags)
		assert.Equal(t, c.want, f.describe, c.tags)
		r.commit()
		short := r.git("rev-parse", "--short=7", "HEAD")
		assert.Equal(t, c.want+"-1-g"+short, r.describe("").describe, c.tags)
	}
	t.Logf("%d cases, each on the commit and one after it", len(cases))
	require.NotEmpty(t, cases)
}

func TestTagThatCIBuildsWins(t *testing.T) {
	r := newRepository(t)
	r.write("multiarch.yaml", "tag_prefix: server/\n")
	r.git("add", ".")
	r.commit()
	r.git("tag", "v1.0.0")
	r.commit()
	for _, tag := range []string{"v1.9.0", "v1.10.0", "v1.2.0", "server/v2.0.0", "server/v3.0.0"} {
		r.git("tag", tag)
	}
	head := r.git("rev-parse", "HEAD")
	for _, c := range []struct {
		env, prefix, tag, branch string
	}{
		{"", "", "v1.10.0", ""},
		{"CI_COMMIT_TAG=v1.9.0", "", "v1.9.0", ""},
		{"TAG_NAME=v1.9.0", "", "v1.9.0", ""},
		{"GITHUB_REF_TYPE=tag GITHUB_REF_NAME=v1.9.0", "", "v1.9.0", ""},
		{"CI_COMMIT_TAG=v1.9.0 TAG_NAME=v1.2.0 GITHUB_REF_TYPE=tag GITHUB_REF_NAME=v1.2.0", "", "v1.9.0", ""},
		{"CI_COMMIT_TAG=v1.0.0 TAG_NAME=v1.9.0", "", "v1.9.0", ""},
		{"GITHUB_REF_NAME=v1.9.0", "", "v1.10.0", ""},
		{"CI_COMMIT_TAG=v1.0.0", "", "v1.10.0", ""},
		{"CI_COMMIT_TAG=server/v2.0.0", "server/", "v2.0.0", ""},
		{"CI_COMMIT_TAG=v2.0.0", "server/", "v3.0.0", ""},
		{"CI_COMMIT_TAG=server/v2.0.0", "", "server/v2.0.0", ""},
		{"CI_COMMIT_SHA=" + head + " CI_COMMIT_BRANCH=feature", "", "v1.10.0", "feature"},
		{"CI_COMMIT_SHA=0 CI_COMMIT_BRANCH=feature", "", "v1.10.0", ""},
		{"GITHUB_SHA=" + head + " GITHUB_REF_TYPE=branch GITHUB_REF_NAME=main", "", "v1.10.0", "main"},
		{"GITHUB_SHA=" + head + " GITHUB_REF_TYPE=tag GITHUB_REF_NAME=v1.2.0", "", "v1.2.0", ""},
		{"GIT_COMMIT=" + head + " BRANCH_NAME=dev", "", "v1.10.0", "dev"},
	} {
		r.git("checkout", "-q", "--detach")
		for _, name := range ciVariables {
			t.Setenv(name, "")
		}
		for _, pair := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(pair, "=")
			t.Setenv(name, value)
		}
		f := r.describe(c.prefix)
		assert.Equal(t, c.tag, f.tag, c.env)
		assert.Equal(t, c.tag, f.describe, c.env)
		assert.Equal(t, c.branch, f.Branch, c.env)
		r.git("checkout", "-q", "main")
		assert.Equal(t, "main", r.describe(c.prefix).Branch, "the branch is checked out")
	}
}

func TestTagPrefixSelectsTags(t *testing.T) {
	r := newRepository(t)
	r.write("images/multiarch.yaml", "images:\n"+
		"  a: {push: {tag_prefix: \"server/\", tags: [x]}}\n"+
		"  b: {push: {tag_prefix: 'server-'}}\n"+
		"  c:\n    push:\n      tag_prefix: v # as in Go\n"+
		"  d: {push: {tag_prefix: Server/}}\n")
	r.write("x/BUILD.bazel", "multiarch_tags(\n    tag_prefix = \"server/api/\",\n)\n")
	r.git("add", ".")
	r.commit()
	short := r.git("rev-parse", "--short=7", "HEAD")
	assert.Equal(t, short, r.describe("server/").describe, "no tags")
	for _, tag := range []string{
		"v1.0.0", "server/v2.0.0", "server/v2.10.0", "server/api/v9.0.0", "server-v3.0.0", "server-api-v1.0.0",
		"Server/v4.0.0", "server/zzz", "client/v8.0.0",
	} {
		r.git("tag", tag)
	}
	want := map[string]string{
		"": "v1.0.0", "server/": "v2.10.0", "server/api/": "v9.0.0", "server-": "v3.0.0", "v": "1.0.0", "Server/": "v4.0.0",
	}
	for prefix, tag := range want {
		f := r.describe(prefix)
		assert.Equal(t, tag, f.tag, prefix)
		assert.Equal(t, tag, f.describe, prefix)
	}
	r.commit()
	r.git("tag", "server/api/v9.1.0")
	short = r.git("rev-parse", "--short=7", "HEAD")
	want["server/api/"] = "v9.1.0"
	for prefix, tag := range want {
		switch f := r.describe(prefix); prefix {
		case "server/api/":
			assert.Equal(t, tag, f.describe)
		case "": // tags of components are also tags of the repository
			assert.Equal(t, "server/api/v9.1.0", f.describe)
		default:
			assert.Empty(t, f.tag, prefix)
			assert.Equal(t, tag+"-1-g"+short, f.describe, prefix)
		}
	}
	keys, _ := r.status()
	assert.Contains(t, keys, "STABLE_GIT_TAG_SERVER_2F")
	assert.Contains(t, keys, "STABLE_GIT_TAG__53ERVER_2F")
}

func TestShallowCloneIsReported(t *testing.T) {
	r := newRepository(t)
	r.commit()
	r.git("tag", "v1.0.0")
	r.commit()
	r.commit()
	shallow := repository{t, t.TempDir()}
	shallow.git("clone", "-q", "--depth=1", "file://"+r.dir, ".")
	f := shallow.describe("")
	require.Len(t, f.warnings, 1, "warned once")
	assert.Contains(t, f.warnings[0], "git fetch --unshallow --tags")
	assert.Equal(t, f.Commit[:7], f.describe)
	_, stderr := shallow.status()
	assert.Contains(t, stderr, "git fetch --unshallow --tags")

	shallow.git("fetch", "-q", "--unshallow", "--tags")
	f = shallow.describe("")
	assert.Empty(t, f.warnings)
	assert.Equal(t, "v1.0.0-2-g"+f.Commit[:7], f.describe)

	tagged := repository{t, t.TempDir()}
	tagged.git("clone", "-q", "--depth=1", "--branch=v1.0.0", "file://"+r.dir, ".")
	f = tagged.describe("")
	assert.Empty(t, f.warnings, "earlier tags are not needed")
	assert.Equal(t, "v1.0.0", f.describe)
}

func TestWorktreesAndSubmodules(t *testing.T) {
	r := newRepository(t)
	r.commit()
	r.git("tag", "v1.0.0")

	worktree := repository{t, filepath.Join(t.TempDir(), "w")}
	r.git("worktree", "add", "-q", "-b", "side", worktree.dir)
	f := worktree.describe("")
	assert.Equal(t, "side", f.Branch)
	assert.Equal(t, "v1.0.0", f.tag)

	super := newRepository(t)
	super.commit()
	super.git("tag", "v9.0.0")
	super.git("submodule", "add", "-q", r.dir, "sub")
	super.git("commit", "-q", "-m", "x")
	f = super.describe("")
	assert.Equal(t, "v9.0.0-1-g"+f.Commit[:7], f.describe)
	sub := repository{t, filepath.Join(super.dir, "sub")}
	f = sub.describe("")
	assert.Equal(t, "v1.0.0", f.tag, "a submodule is a separate repository")
	sub.commit()
	assert.True(t, super.describe("").dirty, "a submodule at another commit")

	super.write("dir/file", "")
	below := repository{t, filepath.Join(super.dir, "dir")}
	assert.Equal(t, super.describe("").Commit, below.describe("").Commit)

	long := newRepository(t, "--object-format=sha256")
	long.commit()
	long.git("tag", "v1.0.0")
	long.commit()
	f = long.describe("")
	assert.Len(t, f.Commit, 64)
	assert.Equal(t, "v1.0.0-1-g"+f.Commit[:7], f.describe)
}

func TestErrorsHaveHints(t *testing.T) {
	hintOf := func(err error) string {
		var hinting fault.Hinter
		require.ErrorAs(t, err, &hinting, "%v", err)
		return hinting.Hint()
	}
	r := newRepository(t)
	none := repository{t, t.TempDir()}
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(none.dir))
	_, err := none.checkout("")
	assert.ErrorContains(t, err, "no git checkout: not a git repository")
	assert.Contains(t, hintOf(err), "run git init")

	_, err = r.checkout("")
	assert.EqualError(t, err, "the git repository has no commits")
	assert.Contains(t, hintOf(err), "commit first")

	r.write("file", "")
	r.git("add", ".")
	r.commit()
	t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
	_, err = r.checkout("")
	assert.ErrorContains(t, err, "git rev-parse: detected dubious ownership in repository at '"+r.dir+"'")
	assert.Equal(t, "run: git config --global --add safe.directory "+r.dir, hintOf(err))
	t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "")

	t.Setenv("LANGUAGE", "de")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	_, err = none.checkout("")
	assert.ErrorContains(t, err, "not a git repository", "in any locale")

	// A damaged index makes only Dirty and Describe fail.
	index := []byte("damaged, but long enough for an index")
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, ".git", "index"), index, 0o644))
	c := git.Open(t.Context(), r.dir, os.Getenv, func(string) {})
	_, err = c.Head()
	require.NoError(t, err)
	_, err = c.Tag("")
	require.NoError(t, err)
	for _, call := range []func() error{
		func() error { _, err := c.Dirty(); return err },
		func() error { _, err := c.Describe(""); return err },
	} {
		assert.ErrorContains(t, call(), "looking for uncommitted changes: git status: ")
	}
	keys, _ := r.status()
	assert.Contains(t, keys, "STABLE_GIT_COMMIT")
	assert.NotContains(t, keys, "STABLE_GIT_DIRTY")
	assert.NotContains(t, keys, "STABLE_GIT_DESCRIBE")

	t.Setenv("PATH", t.TempDir())
	_, err = git.Open(t.Context(), r.dir, os.Getenv, func(string) {}).Head()
	assert.EqualError(t, err, "git not found in PATH")
	assert.Contains(t, hintOf(err), "install git")
}
