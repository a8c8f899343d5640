package main

import (
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/publish/release"
)

// push builds images and publishes them. The commands push and build --push are this function.
func (a *app) push(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, images []string) error {
	r, err := a.prepare(cmd, s, o, p, images)
	if err != nil {
		return err
	}
	return a.publish(cmd, s, o, p, r, a.pushed)
}

// publish publishes a release for the commands push and release. A dry run only prints a preview.
func (a *app) publish(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, r *release.Release,
	report reporter) error {
	if err := a.smoke(cmd.Context(), r, p.smoke, s.share.runner == ""); err != nil {
		return err
	}
	if err := r.CheckConfined(); err != nil {
		return err
	}
	if p.dryRun {
		return a.previewRelease(cmd, o, r)
	}
	a.noteRedirected(r.Redirected)
	artifacts, err := a.transfer(cmd, o, r.Hosts(), r.Targets)
	if err != nil {
		return err
	}
	return report(o, r, artifacts)
}

// reporter prints what was published.
type reporter func(o buildFlags, r *release.Release, artifacts []push.Artifact) error

// pushed reports by image.
func (a *app) pushed(o buildFlags, r *release.Release, artifacts []push.Artifact) error {
	references := map[string][]string{}
	for _, one := range artifacts {
		references[one.Name] = append(references[one.Name], withDigest(one))
	}
	return a.report(o, resultsOf(r.Targets), references)
}

// resultsOf returns the indexes of targets, each image once.
func resultsOf(targets []push.Target) []build.Result {
	var results []build.Result
	for _, t := range targets {
		if !slices.ContainsFunc(results, func(r build.Result) bool { return r.Name == t.Name }) {
			results = append(results, build.Result{Name: t.Name, Index: t.Index})
		}
	}
	return results
}

// transfer pushes targets to their registries.
func (a *app) transfer(cmd *cobra.Command, o buildFlags, hosts map[string]registry.Host,
	targets []push.Target) ([]push.Artifact, error) {
	client := a.client(o.insecure, o.jobs)
	client.Hosts = hosts
	progress := a.terminal.progress()
	defer progress.finish()
	var pushed []push.Artifact
	err := progress.during("registries", "push", func() (err error) {
		pushed, err = push.Run(cmd.Context(), client, targets, progress.transfer("upload"))
		return err
	})
	return pushed, err
}

// prepare builds images, joins their parts, or reads images built by Bazel.
func (a *app) prepare(cmd *cobra.Command, s selection, o buildFlags, p pushFlags,
	images []string) (*release.Release, error) {
	if err := o.checkMetadata(); err != nil {
		return nil, err
	}
	if p.prebuilt != "" {
		if len(images) > 0 || len(s.platforms) > 0 || len(p.join) > 0 || p.part != "" {
			return nil, usagef("change multiarch.yaml and run multiarch generate",
				"--prebuilt cannot be combined with IMAGE, --platform, --join or --part")
		}
		return a.prebuiltRelease(cmd, s, o, p)
	}
	if p.part != "" {
		if len(p.join) > 0 || p.tags != nil {
			return nil, usagef("pass --tag to the release that joins the parts",
				"--part cannot be combined with --join or --tag")
		}
		p.tags = []string{p.part} // so that it may have few platforms
	} else if s.share.runner != "" || p.layouts != "" {
		return nil, usagef("add a tag for the part, such as --part ci-$RUN-amd64", "--runner and --layouts require --part")
	}
	s.acceptBazel = len(p.join) > 0 || p.layouts != ""
	return a.buildRelease(cmd, s, o, p, images)
}

// buildRelease builds images, or joins their parts, for all their destinations. It checks these first, because builds
// may take hours.
func (a *app) buildRelease(cmd *cobra.Command, s selection, o buildFlags, p pushFlags,
	images []string) (*release.Release, error) {
	project, err := a.load(cmd, s, images)
	if err != nil {
		return nil, err
	}
	if err := release.CheckRegistries(project.plan); err != nil {
		return nil, err
	}
	targets, err := a.targets(project, p)
	if err != nil {
		return nil, err
	}
	if err := p.checkTagged(targets); err != nil {
		return nil, err
	}
	if len(s.platforms) > 0 && p.tags == nil {
		a.terminal.note("multiarch: the configured tags will have only %s; to publish all platforms, "+
			"use release --part and release --join", strings.Join(s.platforms, ", "))
	}
	if p.part != "" {
		targets = release.Parts(targets)
	}
	if err := release.CheckDistinct(project.config, targets, p.tags != nil); err != nil {
		return nil, err
	}
	if len(p.join) > 0 {
		client := a.client(o.insecure, o.jobs)
		client.Hosts = release.Hosts(project.config)
		joined, err := release.JoinParts(cmd.Context(), client, project.plan, p.join)
		if err != nil {
			return nil, err
		}
		project = project.withPlan(joined)
	}
	if p.layouts != "" {
		project = project.withPlan(fromLayouts(project.plan, p.layouts))
	}
	built, err := a.carryOut(cmd, project, o, "")
	if err != nil {
		return nil, err
	}
	indexes := map[string]v1.ImageIndex{}
	for _, r := range built.results {
		indexes[r.Name] = r.Index
	}
	return &release.Release{
		Targets: release.Fill(targets, indexes, built.repositories), Config: project.config,
		Registry: project.registry, Redirected: release.Redirected(project.plan),
	}, nil
}

// checkTagged makes sure that every image has a tag, unless nothing is sent or the tags were given.
func (p pushFlags) checkTagged(targets []push.Target) error {
	if p.tags != nil || p.dryRun {
		return nil
	}
	return release.CheckTagged(targets)
}
