package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/config"
)

// checkout returns what is checked out at dir, nil where there is no git, no checkout or no commit. What it says is what
// tools/rules/workspace_status.sh tells Bazel.
func checkout(ctx context.Context, dir string) *config.Git {
	git := func(args ...string) (string, bool) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err == nil
	}
	head, ok := git("log", "-1", "--format=%H %ct")
	commit, seconds, found := strings.Cut(head, " ")
	if !ok || !found {
		return nil
	}
	facts := &config.Git{Commit: commit, ShortCommit: commit[:min(7, len(commit))]}
	if at, err := strconv.ParseInt(seconds, 10, 64); err == nil {
		facts.CommitTime = time.Unix(at, 0).UTC().Format(time.RFC3339)
	}
	facts.Branch, _ = git("symbolic-ref", "--short", "-q", "HEAD")
	// The suffix lets v1.0.0 come before v1.0.0-rc1.
	tags, _ := git("-c", "versionsort.suffix=-", "tag", "--points-at", "HEAD", "--sort=-version:refname")
	facts.Tag = tagOf(strings.Fields(tags), os.Getenv)
	if facts.Describe = facts.Tag; facts.Describe == "" {
		facts.Describe, _ = git("describe", "--tags", "--always", "--abbrev=7")
	}
	status, ok := git("status", "--porcelain", "--untracked-files=no")
	if facts.Dirty = ok && status != ""; facts.Dirty {
		facts.Describe += "-dirty"
	}
	return facts
}

// tagOf chooses among the tags of a commit, the highest version first: the one that GitHub, GitLab or Jenkins say they are
// building, since two tags of one commit are two releases, or else the first.
func tagOf(tags []string, getenv func(string) string) string {
	if len(tags) == 0 {
		return ""
	}
	built := []string{getenv("CI_COMMIT_TAG"), getenv("TAG_NAME")}
	if getenv("GITHUB_REF_TYPE") == "tag" {
		built = append(built, getenv("GITHUB_REF_NAME"))
	}
	for _, tag := range built {
		if slices.Contains(tags, tag) {
			return tag
		}
	}
	return tags[0]
}
