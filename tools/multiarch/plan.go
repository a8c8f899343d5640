package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
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
		Long: `Show each image and platform with all defaults resolved: its base, content and settings, and the repositories and
tags to which push uploads it. Builds nothing, and needs neither a registry nor a compiler. Fails if push would
refuse a name.`,
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
			if err := a.checkGoals(*project); err != nil {
				return err
			}
			if asJSON {
				return a.terminal.json(project.plan)
			}
			if err := a.contents(project.plan); err != nil {
				return err
			}
			a.terminal.result("")
			return a.goals(project.plan)
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
	s.elsewhere = true
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

// checkGoals refuses names that push refuses. What this machine cannot know, such as what is checked out, is a note only,
// and collisions are then looked for with made-up answers.
func (a *app) checkGoals(p project) error {
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
			return nil // it asks for the environment as well
		}
	}
	if err != nil {
		return err
	}
	return p.distinct(targets, false)
}

// contents prints what each image consists of, a line a platform.
func (a *app) contents(p *plan.Plan) error {
	w := tabwriter.NewWriter(a.terminal.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IMAGE\tPLATFORM\tBASE\tCONTENT\tENTRYPOINT\tREPOSITORY")
	for _, i := range p.Images {
		for _, f := range i.From {
			platform := "-"
			if f.Platform != (arch.Platform{}) {
				platform = f.Platform.String()
			}
			fmt.Fprintf(w, "%s\t%s\t-\tfrom %s\t-\t%s\n", i.Name, platform, f.Reference, i.Push.Repository)
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
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", i.Name, c.Platform, c.Base.Name, strings.Join(content, ", "),
				strings.Join(c.Config.Entrypoint, " "), i.Push.Repository)
		}
	}
	return w.Flush()
}

// goals prints the repositories of each image, one per line, and if another registry takes the place of the
// configuration's, what each repository takes the place of. Tags are printed as they are written: Git is asked when they
// are pushed.
func (a *app) goals(p *plan.Plan) error {
	w := tabwriter.NewWriter(a.terminal.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IMAGE\tGOES TO\tTAGS\tPER PLATFORM")
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
	fmt.Fprintln(w, "CONFIGURED\tGOES TO")
	for _, r := range redirected {
		fmt.Fprintf(w, "%s\t%s\n", r.From, r.To)
	}
	return w.Flush()
}

func (a *app) platformsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "platforms",
		Short: "List all known platforms",
		Long: `List the rows of the architecture table: the prefix of Docker's official images, Debian's architecture, the target
of the Go compiler, the header of executables, and the qemu-user program.`,
		Example: `  multiarch platforms
  multiarch platforms --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.terminal.json(arch.Table())
			}
			w := tabwriter.NewWriter(a.terminal.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PLATFORM\tOFFICIAL\tDEBIAN\tGO\tEXECUTABLE\tQEMU")
			for _, r := range arch.Table() {
				level := r.Go.Level.Name + "=" + r.Go.Level.Value
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r, r.Official, orDash(r.Debian), r.Go.Arch+strings.TrimSuffix(" "+level, " ="),
					fmt.Sprintf("%s %d-bit %s %#x", r.Header.Format, r.Header.Bits, r.Header.Order, r.Header.Machine), orDash(r.QEMU.Name))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return cmd
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of multiarch.yaml",
		Long: `Print the JSON Schema of multiarch.yaml. Editors use it for completion and validation: "multiarch init" writes it
beside multiarch.yaml, with a comment there that refers to it.`,
		Example: `  multiarch schema > multiarch.schema.json
  multiarch schema | jq .properties`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = a.terminal.out.Write(schema)
			return err
		},
	}
}

// completeImages offers the images of the configuration to the shell.
func (a *app) completeImages(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	file, err := a.find()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := readConfig(file)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for name := range c.Images {
		names = append(names, name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
