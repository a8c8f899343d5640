package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// workspaceStatus implements config.Checkout with the output of a program such as tools/rules/workspace_status.sh. A
// missing key is an error if a template uses it. An empty value means that there is no branch or no tag.
type workspaceStatus map[string]string

// Head returns the commit, its branch and its time.
func (s workspaceStatus) Head() (config.Head, error) {
	commit, err := s.get("STABLE_GIT_COMMIT")
	if err == nil && commit == "" {
		err = missingKey("STABLE_GIT_COMMIT")
	}
	// Branch and time may be missing here, because checkKeys has checked those that templates use.
	return config.Head{Commit: commit, Branch: s["STABLE_GIT_BRANCH"], Time: s["STABLE_GIT_COMMIT_TIME"]}, err
}

// Tag returns the git tag of the commit.
func (s workspaceStatus) Tag(prefix string) (string, error) {
	return s.get("STABLE_GIT_TAG" + config.StatusSuffix(prefix))
}

// Describe returns the version of the commit.
func (s workspaceStatus) Describe(prefix string) (string, error) {
	return s.get("STABLE_GIT_DESCRIBE" + config.StatusSuffix(prefix))
}

// Dirty reports whether there are uncommitted changes.
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

// checkKeys returns an error if the status lacks a key that the template uses. Expanding it to an empty value would be
// wrong, because that means that there is no branch or tag.
func (s workspaceStatus) checkKeys(template string, unknown ...string) error {
	if !strings.Contains(template, "{{") {
		return nil
	}
	for _, word := range append(unknown, ".Env", ".Registry") {
		if strings.Contains(template, word) {
			return &hintError{fmt.Errorf("uses %s, which Bazel actions do not support", word), "use .Image, .Platform or .Git"}
		}
	}
	for word, key := range map[string]string{".Branch": "STABLE_GIT_BRANCH", ".CommitTime": "STABLE_GIT_COMMIT_TIME"} {
		if _, ok := s[key]; strings.Contains(template, ".Git"+word) && !ok {
			return missingKey(key)
		}
	}
	return nil
}

// readStatus reads a workspace status file, which has a key and a value per line. See "--workspace_status_command" in
// the Bazel user manual.
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
		fmt.Errorf("the workspace status has no %s", key),
		"commit first, and set --workspace_status_command=tools/rules/workspace_status.sh or a program that prints " + key,
	}
}
