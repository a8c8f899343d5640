package main

import (
	"path"
	"slices"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/ci"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// share selects what one of several runners of a pipeline builds. It is worked out when the pipeline runs, so that the
// pipeline names neither images nor platforms.
type share struct {
	runner  string
	runners []string
}

func (s *share) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.runner, "runner", "", "build only the share of this one of --runners, such as arm64")
	cmd.Flags().StringSliceVar(&s.runners, "runners", nil,
		"architectures of all runners, such as amd64,arm64; the first also builds all others")
}

func (s share) check() error {
	if s.runner == "" && s.runners == nil {
		return nil
	}
	if !slices.Contains(s.runners, s.runner) {
		return usagef("such as --runner arm64 --runners amd64,arm64", "--runner has to be one of --runners")
	}
	var known []string
	for _, row := range arch.Table() {
		known = append(known, row.Architecture)
	}
	for _, r := range s.runners {
		if !slices.Contains(known, r) {
			return usagef(hintOf(r, known), "--runners: unknown architecture %q", r)
		}
	}
	return nil
}

// of returns a plan without what other runners build, and without images that this one does not build.
func (s share) of(p *plan.Plan) *plan.Plan {
	if s.runner == "" {
		return p
	}
	own := &plan.Plan{}
	for _, i := range p.Images {
		var children []plan.Child
		for _, c := range i.Children {
			if ci.RunnerOf(s.runners, c.Platform) == s.runner {
				children = append(children, c)
			}
		}
		if i.Children = children; len(children) > 0 {
			own.Images = append(own.Images, i)
		}
	}
	return own
}

// fromLayouts returns a plan in which every image is joined from the layouts that Bazel has built, one per platform.
func fromLayouts(p *plan.Plan, dir string) *plan.Plan {
	joined := &plan.Plan{}
	for _, i := range p.Images {
		i.From, i.Platforms = slices.Clone(i.From), slices.Clone(i.Platforms)
		for _, c := range i.Children {
			i.From = append(i.From, plan.From{
				Reference: "oci:" + path.Join(dir, layoutTarget(i.Name, c.Platform)),
				Platform:  c.Platform,
			})
			i.Platforms = append(i.Platforms, c.Platform)
		}
		i.Children = nil
		joined.Images = append(joined.Images, i)
	}
	return joined
}

// layoutTarget is the Bazel target of the layout of one image.
func layoutTarget(image string, p arch.Platform) string { return image + "_" + p.Slug() + ".layout" }

// layoutLabels are the Bazel labels of all layouts of a plan.
func layoutLabels(p *plan.Plan, pkg string) (labels []string) {
	for _, i := range p.Images {
		for _, c := range i.Children {
			labels = append(labels, "//"+pkg+":"+layoutTarget(i.Name, c.Platform))
		}
	}
	return labels
}
