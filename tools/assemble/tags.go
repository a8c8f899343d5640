package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// writeTags fills the templates of tags from the workspace status.
func writeTags(_ context.Context, flags *flag.FlagSet, args []string) error {
	var (
		s                   subject
		templates, statuses list
	)
	s.flags(flags)
	repository := flags.String("repository", "", "the repository")
	prefix := flags.String("tag-prefix", "", "the prefix of the git tags that are about the image")
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
	vars := config.Vars{Image: s.image, Repository: where, TagPrefix: *prefix, Checkout: workspaceStatus(status)}
	if s.platform != "" {
		p, err := suggest.ParsePlatform(s.platform)
		if err != nil {
			return s.wrap(&usageError{err})
		}
		row, _ := arch.Find(p)
		vars.Platform = config.PlatformVarsOf(row)
	}
	var tagLines, referenceLines strings.Builder
	for _, t := range templates {
		if err := workspaceStatus(status).answers(t); err != nil {
			return s.wrap(fmt.Errorf("tag %q: %w", t, err))
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
