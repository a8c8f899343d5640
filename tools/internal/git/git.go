// Package git describes a git checkout: its commit, branch, tag and version. It runs the git program. Its results are
// the same as those of tools/rules/workspace_status.sh, which Bazel runs.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// Checkout implements config.Checkout for a directory. Each method runs git once and caches its result.
type Checkout struct {
	ctx    context.Context
	dir    string
	getenv func(string) string
	warn   func(string)

	head    func() (config.Head, error)
	dirty   func() (bool, error)
	shallow func() bool

	mu       sync.Mutex
	tags     map[string]func() (string, error) // by prefix
	versions map[string]func() (string, error) // by prefix
}

// Open returns the checkout at dir without running git. getenv returns the variables of CI systems. warn is called at
// most once, if results may be wrong.
func Open(ctx context.Context, dir string, getenv func(string) string, warn func(string)) *Checkout {
	var once sync.Once
	c := &Checkout{
		ctx: ctx, dir: dir, getenv: getenv, warn: func(s string) { once.Do(func() { warn(s) }) },
		tags: map[string]func() (string, error){}, versions: map[string]func() (string, error){},
	}
	c.head = sync.OnceValues(c.findHead)
	c.dirty = sync.OnceValues(c.findDirty)
	c.shallow = sync.OnceValue(c.isShallow)
	return c
}

// Head describes the commit that is checked out.
func (c *Checkout) Head() (config.Head, error) { return c.head() }

// Dirty reports whether a tracked file differs from the commit.
func (c *Checkout) Dirty() (bool, error) { return c.dirty() }

// Tag returns the tag of the commit without the prefix. It returns "" if there is none, and also warns if there is no
// repository or no commit.
func (c *Checkout) Tag(prefix string) (string, error) {
	tag, err := c.cached(c.tags, prefix, c.findTag)
	if failed := (*Error)(nil); errors.As(err, &failed) && (failed.noRepository() || failed.noCommit()) {
		c.warn(failed.Error() + ": {{.Git.Tag}} is empty")
		return "", nil
	}
	if err == nil && tag == "" && c.shallow() {
		c.warn(shallowWarning)
	}
	return tag, err
}

// Describe returns a version: the tag of the commit, or the nearest earlier tag and the distance to it, or the short
// commit. It ends in -dirty if a tracked file differs from the commit.
func (c *Checkout) Describe(prefix string) (string, error) {
	return c.cached(c.versions, prefix, c.findVersion)
}

// cached returns the result of find for a prefix, which it calls once.
func (c *Checkout) cached(
	results map[string]func() (string, error), prefix string, find func(string) (string, error),
) (string, error) {
	c.mu.Lock()
	f, ok := results[prefix]
	if !ok {
		f = sync.OnceValues(func() (string, error) { return find(prefix) })
		results[prefix] = f
	}
	c.mu.Unlock()
	return f()
}

const shallowWarning = "the clone is shallow, so {{.Git.Tag}} and {{.Git.Describe}} may miss tags; " +
	"run: git fetch --unshallow --tags"

// isShallow reports whether the clone is shallow.
func (c *Checkout) isShallow() bool {
	out, err := c.run("rev-parse", "--is-shallow-repository")
	return err == nil && out == "true"
}

func (c *Checkout) findHead() (config.Head, error) {
	commit, err := c.run("rev-parse", "--verify", "HEAD^{commit}")
	if err != nil {
		return config.Head{}, err
	}
	seconds, err := c.run("-c", "log.showSignature=false", "show", "--no-patch", "--no-notes", "--format=%ct", "HEAD")
	if err != nil {
		return config.Head{}, err
	}
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return config.Head{}, fmt.Errorf("git show: invalid commit time %q", seconds)
	}
	head := config.Head{Commit: commit, Time: time.Unix(at, 0).UTC().Format(time.RFC3339)}
	head.Branch, err = c.run("symbolic-ref", "--quiet", "--short", "HEAD")
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed) && failed.ExitCode() == 1: // HEAD is detached
		head.Branch = ciBranch(commit, c.getenv)
	case err != nil:
		return config.Head{}, err
	}
	return head, nil
}

func (c *Checkout) findDirty() (bool, error) {
	status, err := c.run("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return false, fmt.Errorf("looking for uncommitted changes: %w", err)
	}
	return status != "", nil
}

func (c *Checkout) findTag(prefix string) (string, error) {
	if _, err := c.head(); err != nil {
		return "", err
	}
	tags, err := c.tagsOf("HEAD", prefix)
	if err != nil {
		return "", err
	}
	return choose(tags, prefix, c.getenv), nil
}

// tagsOf returns the tags of a commit that have the prefix, without it. Tags of nested components are not included,
// such as server/api/v1.0.0 for the prefix server/.
func (c *Checkout) tagsOf(commit, prefix string) ([]string, error) {
	out, err := c.run("for-each-ref", "--points-at="+commit, "--format=%(refname:strip=2)", "refs/tags")
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, tag := range strings.Fields(out) {
		if rest, ok := strings.CutPrefix(tag, prefix); ok && rest != "" && (prefix == "" || !strings.Contains(rest, "/")) {
			tags = append(tags, rest)
		}
	}
	return tags, nil
}

func (c *Checkout) findVersion(prefix string) (string, error) {
	version, err := c.findTag(prefix)
	if err != nil {
		return "", err
	}
	if version == "" {
		if version, err = c.describe(prefix); err != nil {
			return "", err
		}
		if c.shallow() {
			c.warn(shallowWarning)
		}
	}
	dirty, err := c.dirty()
	if dirty {
		version += "-dirty"
	}
	return version, err
}

// describe returns the nearest earlier tag and the distance to it, or the short commit.
func (c *Checkout) describe(prefix string) (string, error) {
	args := []string{"describe", "--tags", "--always", "--long", "--abbrev=7"}
	if prefix != "" {
		args = append(args, "--match="+prefix+"*", "--exclude="+prefix+"*/*")
	}
	described, err := c.run(args...)
	if err != nil {
		return "", err
	}
	nearest, distance, ok := cutDistance(described)
	if !ok {
		return described, nil // no earlier tag
	}
	// Its commit may have several tags, of which git picks any.
	tags, err := c.tagsOf("refs/tags/"+nearest+"^{commit}", prefix)
	if err != nil {
		return "", err
	}
	return choose(tags, prefix, func(string) string { return "" }) + distance, nil
}

// cutDistance splits a description before a suffix such as -3-gabcdef1.
func cutDistance(described string) (tag, distance string, ok bool) {
	at := strings.LastIndex(described, "-g")
	if at < 0 {
		return "", "", false
	}
	if at = strings.LastIndex(described[:at], "-"); at < 0 {
		return "", "", false
	}
	return described[:at], described[at:], true
}

// run runs git and returns its output. Messages are in English regardless of the locale, because errors are
// recognized by their text.
func (c *Checkout) run(args ...string) (string, error) {
	cmd := exec.CommandContext(c.ctx, "git", args...)
	cmd.Dir = c.dir
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", &Error{subcommand(args), strings.TrimSpace(stderr.String()), err}
	}
	return strings.TrimSpace(string(out)), nil
}

// subcommand returns the first argument that is not an option.
func subcommand(args []string) string {
	for n := 0; n < len(args); n++ {
		switch {
		case args[n] == "-c":
			n++
		case !strings.HasPrefix(args[n], "-"):
			return args[n]
		}
	}
	return ""
}
