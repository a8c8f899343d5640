package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/config"
)

// writeTags fills the templates of tags from the workspace status.
func writeTags(_ context.Context, flags *flag.FlagSet, args []string) error {
	var (
		s                   subject
		templates, statuses list
	)
	s.flags(flags)
	repository := flags.String("repository", "", "the repository")
	flags.Var(&templates, "template", "a tag")
	flags.Var(&statuses, "status", "a workspace status file")
	tags := flags.String("out-tags", "", "the file to write the tags to, a line each")
	references := flags.String("out-references", "", "the file to write repository:tag to, a line each")
	if err := parse(flags, args, "image", "out-tags", "out-references"); err != nil {
		return err
	}
	status := map[string]string{}
	for _, file := range statuses {
		more, err := readStatus(file)
		if err != nil {
			return s.wrap(err)
		}
		for k, v := range more {
			status[k] = v
		}
	}
	where := cmp.Or(*repository, s.image)
	vars := config.Vars{Image: s.image, Repository: where, Checkout: func() *config.Git { return checkout(status) }}
	if s.platform != "" {
		p, err := arch.Parse(s.platform)
		if err != nil {
			return s.wrap(&usageError{err})
		}
		row, _ := arch.Find(p)
		vars.Platform = config.PlatformVarsOf(row)
	}
	var tagLines, referenceLines strings.Builder
	for _, t := range templates {
		if err := answers(status, t); err != nil {
			return s.wrap(err)
		}
		tag, err := config.PlatformTemplate(t).Tag(vars)
		if err != nil {
			return s.wrap(err)
		}
		if tag == "" {
			continue // the release of what was built says so
		}
		tagLines.WriteString(tag + "\n")
		referenceLines.WriteString(where + ":" + tag + "\n")
	}
	if referenceLines.Len() == 0 {
		// Where nobody pushes, an image has a name all the same: the one that multiarch load gives it.
		referenceLines.WriteString(s.image + ":latest\n")
	}
	return writeAll(output{*tags, []byte(tagLines.String())}, output{*references, []byte(referenceLines.String())})
}

// answers makes sure that a template gets an answer to all it asks: an empty one because nobody was asked would be a tag
// that means something else, such as v for v{{.Git.Tag}}.
func answers(status map[string]string, template string) error {
	if !strings.Contains(template, "{{") {
		return nil
	}
	for _, word := range []string{".Env", ".Registry"} {
		if strings.Contains(template, word) {
			return &hintError{fmt.Errorf("tag %q asks for %s, which no action knows", template, word), "use .Image, .Repository, .Platform or .Git"}
		}
	}
	if !strings.Contains(template, ".Git") {
		return nil
	}
	if status["STABLE_GIT_COMMIT"] == "" {
		return missingKey(fmt.Sprintf("tag %q", template), "STABLE_GIT_COMMIT")
	}
	// The words are those of config.Git; a key without a value answers as well: no branch, no tag.
	for _, ask := range [][2]string{{".Branch", "STABLE_GIT_BRANCH"}, {".Tag", "STABLE_GIT_TAG"}, {".Describe", "STABLE_GIT_DESCRIBE"}, {".CommitTime", "STABLE_GIT_COMMIT_TIME"}, {".Dirty", "STABLE_GIT_DIRTY"}} {
		if _, ok := status[ask[1]]; !ok && strings.Contains(template, ask[0]) {
			return missingKey(fmt.Sprintf("tag %q", template), ask[1])
		}
	}
	return nil
}

// checkout is what the workspace status says about git. The keys are those of tools/rules/workspace_status.sh.
func checkout(status map[string]string) *config.Git {
	commit := status["STABLE_GIT_COMMIT"]
	return &config.Git{
		Commit:      commit,
		ShortCommit: commit[:min(7, len(commit))],
		Branch:      status["STABLE_GIT_BRANCH"],
		Tag:         status["STABLE_GIT_TAG"],
		Describe:    status["STABLE_GIT_DESCRIBE"],
		CommitTime:  status["STABLE_GIT_COMMIT_TIME"],
		Dirty:       status["STABLE_GIT_DIRTY"] == "true",
	}
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

func missingKey(what, key string) error {
	return &hintError{
		fmt.Errorf("%s needs %s, which the workspace status does not have", what, key),
		"commit first, and give --workspace_status_command=tools/rules/workspace_status.sh or a program that prints " + key,
	}
}
