// Package git finds out, by the git program, what is checked out: the commit, its tag and branch, a version. It gives the
// same answers as tools/rules/workspace_status.sh, which Bazel runs.
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

// Checkout is a config.Checkout of a directory. Each answer is found when it is asked for first, and remembered.
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
	versions map[string]func() (string, error)
}

// Open returns the checkout at dir. getenv supplies the variables of CI systems, and warn is told, once, what makes
// answers doubtful. Nothing is run yet.
func Open(ctx context.Context, dir string, getenv func(string) string, warn func(string)) *Checkout {
	var once sync.Once
	c := &Checkout{ctx: ctx, dir: dir, getenv: getenv, warn: func(s string) { once.Do(func() { warn(s) }) },
		tags: map[string]func() (string, error){}, versions: map[string]func() (string, error){}}
	c.head = sync.OnceValues(c.findHead)
	c.dirty = sync.OnceValues(c.findDirty)
	c.shallow = sync.OnceValue(c.isShallow)
	return c
}

// Head describes the commit that is checked out.
func (c *Checkout) Head() (config.Head, error) { return c.head() }

// Dirty tells whether a tracked file differs from the commit.
func (c *Checkout) Dirty() (bool, error) { return c.dirty() }

// Tag returns the tag of the commit, or "" with a warning if there is no repository or no commit that could have one.
func (c *Checkout) Tag(prefix string) (string, error) {
	tag, err := c.remembered(c.tags, prefix, c.findTag)
	if failed := (*Error)(nil); errors.As(err, &failed) && (failed.absent() || failed.unborn()) {
		c.warn(failed.Error() + ": {{.Git.Tag}} is empty")
		return "", nil
	}
	if err == nil && tag == "" && c.shallow() {
		c.warn(shallowWarning)
	}
	return tag, err
}

// Describe returns a version.
func (c *Checkout) Describe(prefix string) (string, error) {
	return c.remembered(c.versions, prefix, c.findVersion)
}

func (c *Checkout) remembered(all map[string]func() (string, error), prefix string, find func(string) (string, error)) (string, error) {
	c.mu.Lock()
	f, ok := all[prefix]
	if !ok {
		f = sync.OnceValues(func() (string, error) { return find(prefix) })
		all[prefix] = f
	}
	c.mu.Unlock()
	return f()
}

const shallowWarning = "the clone is shallow, so that tags, and with them {{.Git.Tag}} and {{.Git.Describe}}, may be missing; run: git fetch --unshallow --tags"

// isShallow tells whether history is missing.
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
		return config.Head{}, fmt.Errorf("git show: %q is not the time of a commit", seconds)
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
		return false, fmt.Errorf("finding out whether something is not committed: %w", err)
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

// tagsOf lists the tags that a commit has itself, without their prefix. A tag of a component below that of the prefix is
// none of them: server/api/v1.0.0 for server/.
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

// describe returns the nearest tag before the commit and the distance to it, or the short commit.
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
		return described, nil // no tag before
	}
	// The commit of that tag may have others, of which git takes any.
	tags, err := c.tagsOf("refs/tags/"+nearest+"^{commit}", prefix)
	if err != nil {
		return "", err
	}
	return choose(tags, prefix, func(string) string { return "" }) + distance, nil
}

// cutDistance cuts -3-gabcdef1 off a description.
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

// run runs git and returns what it prints. Its messages are in English whatever the user's language is, since their
// remedies are looked up by them.
func (c *Checkout) run(args ...string) (string, error) {
	cmd := exec.CommandContext(c.ctx, "git", args...)
	cmd.Dir = c.dir
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", &Error{commandOf(args), strings.TrimSpace(stderr.String()), err}
	}
	return strings.TrimSpace(string(out)), nil
}

// commandOf is the subcommand among arguments.
func commandOf(args []string) string {
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
