package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/config"
	"github.com/multiarch-build/multiarch/tools/nearest"
	"github.com/multiarch-build/multiarch/tools/publish"
	"github.com/multiarch-build/multiarch/tools/registry"
)

func hintOf(word string, known []string) string { return nearest.Hint(word, known) }

// pushFlags are about names and registries.
type pushFlags struct {
	tags []string
	// prebuilt is the file that says what Bazel has built; see prebuilt.go.
	prebuilt string
}

func (p *pushFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&p.tags, "tag", "t", nil, "tags instead of the configuration's")
}

func (a *app) client(insecure bool, jobs int) registry.Client {
	return registry.Client{Insecure: insecure, Jobs: jobs, UserAgent: "multiarch/" + version()}
}

func (a *app) pushCommand() *cobra.Command {
	var (
		s selection
		o outcome
		p pushFlags
	)
	cmd := &cobra.Command{
		Use:   "push [IMAGE...]",
		Short: "Build image indexes and push them to their registries",
		Long: `Build the image indexes of the named images, or of all, and push them: blobs first, then manifests, then indexes by
their digest, and tags last, once everything they stand for is there. Prints a line a tag: its reference and digest.`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE:              func(cmd *cobra.Command, images []string) error { return a.push(cmd, s, o, p, images) },
	}
	s.flags(cmd)
	o.flags(cmd)
	p.flags(cmd)
	cmd.Flags().StringVar(&p.prebuilt, "prebuilt", "", "push what this file names and build nothing; //tools/rules writes it for bazel run")
	_ = cmd.Flags().MarkHidden("prebuilt")
	return cmd
}

func (a *app) push(cmd *cobra.Command, s selection, o outcome, p pushFlags, images []string) error {
	if p.prebuilt != "" {
		if len(images) > 0 || len(s.platforms) > 0 || s.registry != "" {
			return usagef("change it in multiarch.yaml, and run multiarch generate", "what Bazel has built goes as a whole to where multiarch.yaml says")
		}
		targets, err := readPrebuilt(p)
		if err != nil {
			return err
		}
		return a.publish(cmd, o, p, targets)
	}
	project, err := a.load(cmd, s, images)
	if err != nil {
		return err
	}
	// Where things go is found out before hours may be spent on building them.
	for _, i := range project.plan.Images {
		if i.Push.Registry == "" && i.Push.Repository == i.Name {
			return usagef("give registry: in multiarch.yaml, --registry, or MULTIARCH_REGISTRY", "image %s has no registry to go to", i.Name)
		}
	}
	targets, err := project.targets(p)
	if err != nil {
		return err
	}
	results, err := a.carryOut(cmd, project, o)
	if err != nil {
		return err
	}
	for i := range targets {
		targets[i].Index, targets[i].Sources = results[i].Index, project.bases.sources()
	}
	return a.publish(cmd, o, p, targets)
}

// publish takes built indexes to their registries and says what is there now.
func (a *app) publish(cmd *cobra.Command, o outcome, p pushFlags, targets []publish.Target) error {
	progress := a.terminal.progress()
	pushed, err := publish.Push(cmd.Context(), a.client(o.insecure, o.jobs), targets, progress.bytes)
	progress.finish()
	if err != nil {
		var partly *publish.PushError
		if errors.As(err, &partly) {
			return &pushError{err}
		}
		return err
	}
	references := map[string][]string{}
	for _, one := range pushed {
		reference := one.Reference
		if !strings.Contains(reference, "@") {
			reference += "@" + one.Digest.String()
		}
		references[one.Name] = append(references[one.Name], reference)
	}
	var results []build.Result
	for _, t := range targets {
		results = append(results, build.Result{Name: t.Name, Index: t.Index})
	}
	return a.report(o, results, references)
}

// targets says where every image of the plan goes. The indexes are still missing.
func (p *project) targets(flags pushFlags) ([]publish.Target, error) {
	var targets []publish.Target
	var wrong config.Errors
	for _, i := range p.plan.Images {
		at := config.Path{"images", i.Name, "push"}
		target := publish.Target{Name: i.Name, Repository: i.Push.Repository, Tags: flags.tags}
		vars := p.vars
		vars.Image, vars.Registry, vars.Repository = i.Name, i.Push.Registry, i.Push.Repository
		expand := func(at config.Path, fill func(config.Vars) (string, error), vars config.Vars) string {
			value, err := fill(vars)
			if err != nil {
				wrong = append(wrong, p.config.Errorf(at, "", "%w", err))
			}
			return value
		}
		if flags.tags == nil {
			for n, tag := range i.Push.Tags {
				target.Tags = append(target.Tags, expand(append(slices.Clone(at), "tags", n), tag.Expand, vars))
			}
		}
		if i.Push.PerPlatform != "" {
			for _, c := range i.Children {
				row, _ := arch.Find(c.Platform) // plans hold platforms of the table
				vars.Platform = config.PlatformVarsOf(row)
				repository := expand(append(slices.Clone(at), "per_platform"), i.Push.PerPlatform.Expand, vars)
				for _, tag := range target.Tags {
					target.PerPlatform = append(target.PerPlatform, publish.Intermediate{Platform: c.Platform, Reference: repository + ":" + tag})
				}
			}
		}
		targets = append(targets, target)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return targets, nil
}

// references are what images are called in a container engine: where they would be pushed to.
func (p *project) references(flags pushFlags) (map[string][]string, error) {
	targets, err := p.targets(flags)
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, t := range targets {
		for _, tag := range t.Tags {
			all[t.Name] = append(all[t.Name], t.Repository+":"+tag)
		}
	}
	return all, nil
}

func (a *app) loadCommand() *cobra.Command {
	var (
		s      selection
		o      outcome
		p      pushFlags
		engine string
	)
	cmd := &cobra.Command{
		Use:   "load [IMAGE...]",
		Short: "Build images and load them into docker, podman or containerd",
		Long: `Build the named images, or all, for this machine's platform (or the one given), and load them into the container
engine of this machine: docker, podman, nerdctl or ctr, whichever is found first. Prints a line an image: its name there.`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, images []string) error {
			project, err := a.load(cmd, s, images)
			if err != nil {
				return err
			}
			loader := publish.Loader{Program: engine, Output: a.terminal.err}
			if len(project.selected) == 1 {
				loader.Platform = project.selected[0]
			}
			if loader.References, err = project.references(p); err != nil {
				return err
			}
			results, err := a.carryOut(cmd, project, o)
			if err != nil {
				return err
			}
			loaded, err := loader.Load(cmd.Context(), published(results))
			for _, ref := range loaded.References {
				a.terminal.result("%s", ref)
			}
			return err
		},
	}
	s.flags(cmd)
	p.flags(cmd)
	o.effort(cmd)
	cmd.Flags().StringVar(&engine, "engine", "", "docker, podman, nerdctl or ctr; default: the first found")
	return cmd
}

func (a *app) archiveCommand() *cobra.Command {
	var (
		s      selection
		o      outcome
		p      pushFlags
		output string
		format string
	)
	cmd := &cobra.Command{
		Use:   "archive [IMAGE...] --output FILE",
		Short: "Build images into one OCI or docker archive",
		Long: `Build the named images, or all, into one archive: of an OCI layout with all platforms (--format oci), or as docker
save writes it, with one platform (--format docker --platform linux/arm64). With --output - it goes to stdout.`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, images []string) error {
			if output == "" {
				return usagef("such as --output images.tar, or - for stdout", "--output is missing")
			}
			project, err := a.load(cmd, s, images)
			if err != nil {
				return err
			}
			archive := publish.Archive{Format: publish.Format(format)}
			if archive.Format != publish.OCI && archive.Format != publish.Docker {
				return usagef(hintOf(format, []string{string(publish.OCI), string(publish.Docker)}), "unknown format %q", format)
			}
			if archive.References, err = project.references(p); err != nil {
				return err
			}
			results, err := a.carryOut(cmd, project, o)
			if err != nil {
				return err
			}
			if output == "-" {
				return archive.Write(cmd.Context(), a.terminal.out, published(results))
			}
			if err := archive.WriteFile(cmd.Context(), output, published(results)); err != nil {
				return err
			}
			return a.report(o, results, nil)
		},
	}
	s.flags(cmd)
	o.flags(cmd)
	p.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write; - is stdout")
	cmd.Flags().StringVar(&format, "format", string(publish.OCI), "oci or docker")
	return cmd
}
