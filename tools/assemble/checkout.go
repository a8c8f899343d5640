package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// workspaceStatus is a config.Checkout: what a program such as tools/rules/workspace_status.sh printed, by key. A key that
// is missing is an error for what asks for it; one without a value is an answer: no branch, no tag.
type workspaceStatus map[string]string

// Head describes the commit that is checked out.
func (s workspaceStatus) Head() (config.Head, error) {
	commit, err := s.get("STABLE_GIT_COMMIT")
	if err == nil && commit == "" {
		err = missingKey("STABLE_GIT_COMMIT")
	}
	// Which of the others a template uses is known only when it does.
	return config.Head{Commit: commit, Branch: s["STABLE_GIT_BRANCH"], Time: s["STABLE_GIT_COMMIT_TIME"]}, err
}

// Tag returns the tag that the commit has.
func (s workspaceStatus) Tag(prefix string) (string, error) {
	return s.get("STABLE_GIT_TAG" + config.StatusSuffix(prefix))
}

// Describe returns a version.
func (s workspaceStatus) Describe(prefix string) (string, error) {
	return s.get("STABLE_GIT_DESCRIBE" + config.StatusSuffix(prefix))
}

// Dirty tells whether something is not committed.
func (s workspaceStatus) Dirty() (bool, error) {
	dirty, err := s.get("STABLE_GIT_DIRTY")
	return dirty == "true", err
}

func (s workspaceStatus) get(key string) (string, error) {
	if value, ok := s[key]; ok {
		return value, nil
	}
	return "", missingKey(key)
}

// answers makes sure that a template gets an answer to all it asks: an empty one because there is none would mean something
// else.
func (s workspaceStatus) answers(template string, unknown ...string) error {
	if !strings.Contains(template, "{{") {
		return nil
	}
	for _, word := range append(unknown, ".Env", ".Registry") {
		if strings.Contains(template, word) {
			return &hintError{fmt.Errorf("asks for %s, which no action knows", word), "use .Image, .Platform or .Git"}
		}
	}
	for word, key := range map[string]string{".Branch": "STABLE_GIT_BRANCH", ".CommitTime": "STABLE_GIT_COMMIT_TIME"} {
		if _, ok := s[key]; strings.Contains(template, ".Git"+word) && !ok {
			return missingKey(key)
		}
	}
	return nil
}

// readStatus reads a status file: a key and a value a line. Bazel user manual, "--workspace_status_command".
func readStatus(file string) (map[string]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the workspace status: %w", err)
	}
	status := map[string]string{}
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		status[key] = value
	}
	return status, nil
}

func missingKey(key string) error {
	return &hintError{
		fmt.Errorf("needs %s, which the workspace status does not have", key),
		"commit first, and give --workspace_status_command=tools/rules/workspace_status.sh or a program that prints " + key,
	}
}
