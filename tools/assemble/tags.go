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

// writeTags expands tag templates from the workspace status.
func writeTags(_ context.Context, flags *flag.FlagSet, args []string) error {
	var (
		s                   subject
		templates, statuses list
	)
	s.flags(flags)
	repository := flags.String("repository", "", "repository")
	prefix := flags.String("tag-prefix", "", "prefix of the git tags that templates use")
	flags.Var(&templates, "template", "tag template")
	flags.Var(&statuses, "status", "workspace status file")
	tags := flags.String("out-tags", "", "output: one tag per line")
	references := flags.String("out-references", "", "output: one repository:tag per line")
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
	repo := cmp.Or(*repository, s.image)
	vars := config.Vars{Image: s.image, Repository: repo, TagPrefix: *prefix, Checkout: workspaceStatus(status)}
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
		if err := workspaceStatus(status).checkKeys(t); err != nil {
			return s.wrap(fmt.Errorf("tag %q: %w", t, err))
		}
		tag, err := config.PlatformTemplate(t).Tag(vars)
		if err != nil {
			return s.wrap(err)
		}
		if tag == "" {
			continue // the release reports tags that are left out
		}
		tagLines.WriteString(tag + "\n")
		referenceLines.WriteString(repo + ":" + tag + "\n")
	}
	if referenceLines.Len() == 0 {
		// An image without tags still needs a name for oci_load. Use the same name as multiarch load.
		referenceLines.WriteString(s.image + ":latest\n")
	}
	return writeAll(output{*tags, []byte(tagLines.String())}, output{*references, []byte(referenceLines.String())})
}
