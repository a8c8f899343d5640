package git

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Error is returned if git fails. It contains the message of git.
type Error struct {
	Command string
	Stderr  string
	err     error
}

func (e *Error) Error() string {
	if errors.Is(e.err, exec.ErrNotFound) {
		return "git not found in PATH"
	}
	if e.noCommit() {
		return "the git repository has no commits"
	}
	message, _, _ := strings.Cut(e.Stderr, "\n") // the other lines are advice
	message = strings.TrimPrefix(strings.TrimPrefix(message, "fatal: "), "error: ")
	switch {
	case message == "":
		message = e.err.Error()
	case e.noRepository():
		return "no git checkout: " + message
	}
	return fmt.Sprintf("git %s: %s", e.Command, message)
}

// Unwrap returns the error of running git.
func (e *Error) Unwrap() error { return e.err }

// dubious matches the command that git prints if another user owns the repository.
var dubious = regexp.MustCompile(`git config --global --add safe\.directory .+`)

const withoutGit = "or remove {{.Git}} and created: commit from the configuration"

// Hint returns how to fix common errors.
func (e *Error) Hint() string {
	switch command := dubious.FindString(e.Stderr); {
	case errors.Is(e.err, exec.ErrNotFound):
		return "install git, " + withoutGit
	case command != "":
		return "run: " + strings.TrimSpace(command)
	case e.noRepository():
		return "run git init and commit, " + withoutGit
	case e.noCommit():
		return "commit first, " + withoutGit
	}
	return ""
}

// noRepository reports whether there is no repository.
func (e *Error) noRepository() bool { return strings.Contains(e.Stderr, "not a git repository") }

// noCommit reports whether the repository has no commits.
func (e *Error) noCommit() bool { return strings.Contains(e.Stderr, "Needed a single revision") }
