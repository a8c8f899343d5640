package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

func (a *app) planCommand() *cobra.Command {
	var (
		s      selection
		asJSON bool
		labels bool
	)
	cmd := &cobra.Command{
		Use:   "plan [IMAGE...]",
		Short: "Show what would be built and pushed",
		Long: `Show each image and platform with all defaults resolved: its base, content and settings, and the
repositories and tags to which push uploads it. Builds nothing, and needs neither a registry nor a compiler.
Fails if push would refuse a name.`,
		Example: `  multiarch plan
  multiarch plan hello --platform linux/arm64
  multiarch plan --json | jq .images[].name`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, images []string) error {
			if labels {
				return a.layoutLabels(cmd, s, images)
			}
			project, err := a.load(cmd, s, images)
			if err != nil {
				return err
			}
			if err := a.checkDestinations(*project); err != nil {
				return err
			}
			if asJSON {
				return a.terminal.json(project.plan)
			}
			return a.showPlan(project.plan)
		},
	}
	s.flags(cmd)
	s.share.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	cmd.Flags().BoolVar(&labels, "labels", false, "print the Bazel labels of all layouts, for --target_pattern_file")
	return cmd
}

// layoutLabels prints the labels of the layouts that Bazel builds, one per line.
func (a *app) layoutLabels(cmd *cobra.Command, s selection, images []string) error {
	s.acceptBazel = true
	project, err := a.load(cmd, s, images)
	if err != nil {
		return err
	}
	near, err := a.nearRoot(repository(project.top))
	if err != nil {
		return err
	}
	for _, label := range layoutLabels(project.plan, packageOf(near)) {
		a.terminal.result("%s", label)
	}
	return nil
}

// checkDestinations reports an error if push would refuse a repository or tag. If a template needs something that this
// machine does not have, such as a git checkout, it prints a note and checks for collisions with sample values.
func (a *app) checkDestinations(p project) error {
	targets, err := a.targets(&p, pushFlags{})
	if all := (config.Errors)(nil); errors.As(err, &all) {
		for _, one := range all {
			if missing := (*config.UnavailableError)(nil); !errors.As(one, &missing) {
				return err
			}
		}
		a.terminal.note("multiarch: push would fail here: %v", all[0])
		p.vars.Checkout = config.SampleCheckout{}
		if targets, err = a.targets(&p, pushFlags{}); err != nil {
			return nil // there are no samples for the environment
		}
	}
	if err != nil {
		return err
	}
	return release.CheckDistinct(p.config, targets, false)
}

// showPlan prints what the images contain, how they are configured, and where push uploads them.
func (a *app) showPlan(p *plan.Plan) error {
	var settings []setting
	for _, i := range p.Images {
		settings = append(settings, settingsOf(i)...)
	}
	err := a.contents(p)
	if err == nil && len(settings) > 0 {
		a.terminal.result("")
		err = a.settings(settings)
	}
	if err != nil {
		return err
	}
	a.terminal.result("")
	return a.destinations(p)
}

// contents prints the base, content and entrypoint of each image, one line per platform.
func (a *app) contents(p *plan.Plan) error {
	w := tabwriter.NewWriter(a.terminal.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IMAGE\tPLATFORM\tBASE\tCONTENT\tENTRYPOINT")
	for _, i := range p.Images {
		for _, f := range i.From {
			platform := "-"
			if f.Platform != (arch.Platform{}) {
				platform = f.Platform.String()
			}
			fmt.Fprintf(w, "%s\t%s\t-\tfrom %s\t-\n", i.Name, platform, f.Reference)
		}
		for _, c := range i.Children {
			var content []string
			if c.Go != nil {
				content = append(content, "go "+c.Go.Package)
			}
			for _, f := range c.Files {
				content = append(content, f.From+" -> "+f.To)
			}
			for _, d := range c.Directories {
				content = append(content, d.Path+"/")
			}
			for _, l := range c.Links {
				content = append(content, "link "+l.Path+" -> "+l.To)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", i.Name, c.Platform, c.Base.Name, strings.Join(content, ", "),
				orDash(strings.Join(c.Config.Entrypoint, " ")))
		}
	}
	return w.Flush()
}

// setting is one line of the configuration of an image, and the platforms that have it.
type setting struct {
	image, name, value string
	platforms          []string
	all                bool // every platform of the image has it
}

// settingsOf returns user, cmd, environment and labels of an image. Values that differ by platform are separate.
func settingsOf(i plan.Image) []setting {
	var all []setting
	add := func(c plan.Child, name, value string) {
		at := slices.IndexFunc(all, func(s setting) bool { return s.name == name && s.value == value })
		if at < 0 {
			at = len(all)
			all = append(all, setting{image: i.Name, name: name, value: value})
		}
		all[at].platforms = append(all[at].platforms, c.Platform.String())
	}
	for _, c := range i.Children {
		if c.Config.User != "" {
			add(c, "user", c.Config.User)
		}
		if len(c.Config.Cmd) > 0 {
			add(c, "cmd", strings.Join(c.Config.Cmd, " "))
		}
		for _, e := range c.Config.Env {
			add(c, "env", e)
		}
		for _, key := range slices.Sorted(maps.Keys(c.Config.Labels)) {
			add(c, "label", key+"="+c.Config.Labels[key])
		}
	}
	order := []string{"user", "cmd", "env", "label"}
	slices.SortStableFunc(all, func(a, b setting) int { return slices.Index(order, a.name) - slices.Index(order, b.name) })
	for n := range all {
		all[n].all = len(all[n].platforms) == len(i.Children)
	}
	return all
}

func (a *app) settings(settings []setting) error {
	w := tabwriter.NewWriter(a.terminal.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IMAGE\tSETTING\tVALUE\tPLATFORMS")
	for _, s := range settings {
		platforms := "all"
		if !s.all {
			platforms = strings.Join(s.platforms, ", ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.image, s.name, s.value, platforms)
	}
	return w.Flush()
}

// destinations prints the repositories and tags of each image, one repository per line. If another registry replaces
// the configured ones, it also prints the configured names. Tags are printed as written, because only push needs Git.
func (a *app) destinations(p *plan.Plan) error {
	w := tabwriter.NewWriter(a.terminal.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IMAGE\tREPOSITORY\tTAGS\tPER PLATFORM")
	var redirected []config.Redirection
	for _, i := range p.Images {
		var tags []string
		for _, t := range i.Push.Tags {
			tags = append(tags, string(t))
		}
		for _, repository := range append([]string{i.Push.Repository}, i.Push.Further...) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", i.Name, repository, strings.Join(tags, ", "), orDash(string(i.Push.PerPlatform)))
		}
		redirected = append(redirected, i.Push.Redirected...)
	}
	if err := w.Flush(); err != nil || len(redirected) == 0 {
		return err
	}
	a.terminal.result("")
	fmt.Fprintln(w, "CONFIGURED\tREPLACED BY")
	for _, r := range redirected {
		fmt.Fprintf(w, "%s\t%s\n", r.From, r.To)
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
