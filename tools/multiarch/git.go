package main

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/config"
)

// checkout returns what is checked out at dir, nil where there is no git, no checkout or no commit.
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
	facts.Tag, _ = git("describe", "--tags", "--abbrev=0")
	status, ok := git("status", "--porcelain", "--untracked-files=no")
	facts.Dirty = ok && status != ""
	return facts
}
