package git

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Error is returned if git fails. It passes on what git printed.
type Error struct {
	Command string
	Stderr  string
	err     error
}

func (e *Error) Error() string {
	if errors.Is(e.err, exec.ErrNotFound) {
		return "git is not installed, or not in PATH"
	}
	if e.unborn() {
		return "the git repository has no commit yet"
	}
	message, _, _ := strings.Cut(e.Stderr, "\n") // remedies are below
	message = strings.TrimPrefix(strings.TrimPrefix(message, "fatal: "), "error: ")
	switch {
	case message == "":
		message = e.err.Error()
	case e.absent():
		return "there is no git checkout: " + message
	}
	return fmt.Sprintf("git %s: %s", e.Command, message)
}

// Unwrap returns how git ended.
func (e *Error) Unwrap() error { return e.err }

// dubious matches the remedy that git prints if another user owns the repository.
var dubious = regexp.MustCompile(`git config --global --add safe\.directory .+`)

const noCheck = "or do without {{.Git}} and created: commit"

// Hint says what to do about the errors of git that users meet.
func (e *Error) Hint() string {
	switch remedy := dubious.FindString(e.Stderr); {
	case errors.Is(e.err, exec.ErrNotFound):
		return "install git, " + noCheck
	case remedy != "":
		return "run: " + strings.TrimSpace(remedy)
	case e.absent():
		return "run: git init, and commit; " + noCheck
	case e.unborn():
		return "commit first, " + noCheck
	}
	return ""
}

// absent tells whether there is no repository.
func (e *Error) absent() bool { return strings.Contains(e.Stderr, "not a git repository") }

// unborn tells whether HEAD names no commit.
func (e *Error) unborn() bool { return strings.Contains(e.Stderr, "Needed a single revision") }
