package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

func hintOf(word string, known []string) string { return suggest.Hint(word, known) }

// pushFlags are about names and registries.
type pushFlags struct {
	tags []string
	// prebuilt is the file that says what Bazel has built; see prebuilt.go.
	prebuilt string
	// part is the tag of what one machine builds of every image, for a release that joins it.
	part string
	// join are tags under which parts of every image are in its repository already.
	join []string
	// layouts is the folder of the layouts that Bazel has built for a part.
	layouts string
	// dryRun is that nothing is sent, so that images need no tags.
	dryRun bool
	// fewer allows the configured tags to lose platforms.
	fewer bool
}

// publishing are flags of the commands that move tags in registries.
func (p *pushFlags) publishing(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.fewer, "allow-fewer-platforms", false, "allow tags to lose platforms")
}

// keepPlatforms tells whether tags may lose no platform: those that were given for this push, or are of a part, may.
func (p pushFlags) keepPlatforms() bool { return !p.fewer && p.tags == nil && p.part == "" }

func (p *pushFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&p.tags, "tag", "t", nil, "tags, instead of the configured ones")
	checkFlag(cmd.Flags(), "tag", reference.CheckTag)
}

func (a *app) client(insecure bool, jobs int) registry.Client {
	return registry.Client{Insecure: insecure, Jobs: jobs, Limits: a.limits, UserAgent: "multiarch/" + version()}
}

// clientHere is for commands that need no multiarch.yaml: where there is one, its registries: say how they are spoken to.
func (a *app) clientHere(insecure bool, jobs int) (registry.Client, error) {
	client := a.client(insecure, jobs)
	file, err := a.find()
	if errors.Is(err, errNoConfig) {
		return client, nil
	}
	if err != nil {
		return client, err
	}
	c, err := readConfig(file)
	if err != nil {
		return client, err
	}
	client.Hosts = hosts(c)
	return client, nil
}

func (a *app) pushCommand() *cobra.Command {
	var (
		s selection
		o buildFlags
		p pushFlags
	)
	cmd := &cobra.Command{
		Use:   "push [IMAGE...]",
		Short: "Build image indexes and push them",
		Long: `Build the image indexes of the named images, or of all images, and push them: blobs, manifests, indexes by digest,
and tags last, after everything that they refer to. Prints one line per tag: its reference and digest.

"release" does the same after smoke tests, and writes metadata.`,
		Example: `  multiarch push
  multiarch push hello --tag v1.2.3
  multiarch push --registry localhost:5000/try`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE:              func(cmd *cobra.Command, images []string) error { return a.push(cmd, s, o, p, images) },
	}
	s.flags(cmd)
	o.flags(cmd)
	p.flags(cmd)
	p.publishing(cmd)
	o.verifyFlag(cmd)
	return cmd
}

func (a *app) push(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, images []string) error {
	project, targets, err := a.made(cmd, s, o, p, images)
	if err != nil {
		return err
	}
	if err := confined(project.registry, targets); err != nil {
		return err
	}
	a.noteRedirected(project.redirected())
	return a.publish(cmd, o, project.registries(), targets)
}

// made builds images, or joins their parts, for where they are to go.
func (a *app) made(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, images []string) (*project, []push.Target, error) {
	if err := o.checkMetadata(); err != nil {
		return nil, nil, err
	}
	project, err := a.load(cmd, s, images)
	if err != nil {
		return nil, nil, err
	}
	// Where things go is found out before hours may be spent on building them.
	if err := project.destined(); err != nil {
		return nil, nil, err
	}
	targets, err := a.targets(project, p)
	if err != nil {
		return nil, nil, err
	}
	if err := p.tagged(targets); err != nil {
		return nil, nil, err
	}
	if len(s.platforms) > 0 && p.tags == nil {
		a.terminal.note("multiarch: the tags of multiarch.yaml will have %s alone; release --part TAG, and a later release --join, make them whole", strings.Join(s.platforms, ", "))
	}
	if p.part != "" {
		targets = parts(targets)
	}
	if err := project.distinct(targets, p.tags != nil); err != nil {
		return nil, nil, err
	}
	if len(p.join) > 0 {
		client := a.client(o.insecure, o.jobs)
		client.Hosts = project.registries()
		if err := project.join(cmd.Context(), client, p.join); err != nil {
			return nil, nil, err
		}
	}
	if p.layouts != "" {
		fromLayouts(project.plan, p.layouts)
	}
	results, err := a.carryOut(cmd, project, o)
	if err != nil {
		return nil, nil, err
	}
	return project, project.filled(targets, results), nil
}

// destined makes sure that every image has a registry to go to.
func (p *project) destined() error {
	for _, i := range p.plan.Images {
		for _, repository := range append([]string{i.Push.Repository}, i.Push.Further...) {
			if i.Push.Registry == "" && (repository == i.Name || !strings.Contains(repository, "/")) {
				return usagef("give registry: in multiarch.yaml, --registry, or MULTIARCH_REGISTRY", "image %s has no registry to go to", i.Name)
			}
		}
	}
	return nil
}

// tagged makes sure that every image is to be found under a tag, unless nothing is sent.
func (p pushFlags) tagged(targets []push.Target) error {
	for _, t := range targets {
		if len(t.Tags) == 0 && p.tags == nil && !p.dryRun {
			return usagef("{{.Git.Tag}} is a tag that the commit itself bears: check out one that bears it, or name tags with --tag; release --dry-run needs none",
				"image %s has no tag to go under: all of its tags are empty here", t.Name)
		}
	}
	return nil
}

// distinct makes sure that no two images would have one name; given is that the tags are those of a flag.
func (p *project) distinct(targets []push.Target, given bool) error {
	type owner struct {
		image    string
		platform arch.Platform
	}
	owners := map[string]owner{}
	take := func(reference string, o owner) error {
		ref, err := name.NewTag(reference)
		if err != nil {
			return fmt.Errorf("image %s: %w", o.image, err)
		}
		other, taken := owners[ref.Name()]
		owners[ref.Name()] = o
		switch {
		case !taken || other == o:
			return nil
		case other.image == o.image:
			return config.Errors{p.config.Errorf(config.Path{"images", o.image, "push", "per_platform"},
				"name the platform in it, such as {{.Repository}}-{{.Platform.Official}}", "more than one image would be %s", reference)}
		case given:
			return usagef("release them one by one, or give one of them another repository in multiarch.yaml", "images %s and %s would both be %s", other.image, o.image, reference)
		}
		return config.Errors{p.config.Errorf(config.Path{"images", o.image, "push"},
			"give one of them another repository or other tags", "collides with images.%s: both would be %s", other.image, reference)}
	}
	for _, t := range targets {
		for _, tag := range t.Tags {
			if err := take(t.Repository+":"+tag, owner{image: t.Name}); err != nil {
				return err
			}
		}
		for _, one := range t.PerPlatform {
			if err := take(one.Reference, owner{t.Name, one.Platform}); err != nil {
				return err
			}
		}
	}
	return nil
}

// filled gives the targets what was built.
func (p *project) filled(targets []push.Target, results []build.Result) []push.Target {
	sources := p.bases.sources() // which is large, and the same for all
	for i := range targets {
		for _, r := range results {
			if r.Name == targets[i].Name {
				targets[i].Index, targets[i].Sources = r.Index, sources
			}
		}
	}
	return targets
}

// registries says how the registries of the configuration are spoken to.
func (p *project) registries() map[string]registry.Host { return hosts(p.config) }

func hosts(c *config.Config) map[string]registry.Host {
	all := map[string]registry.Host{}
	for host, r := range c.Registries {
		if full, err := name.NewRegistry(host); err == nil { // docker.io has another name in references
			all[full.RegistryStr()] = registry.Host{Insecure: r.Insecure, Jobs: r.Jobs}
		}
	}
	return all
}

// publish takes built indexes to their registries and says what is there now.
func (a *app) publish(cmd *cobra.Command, o buildFlags, hosts map[string]registry.Host, targets []push.Target) error {
	pushed, err := a.transfer(cmd, o, hosts, targets)
	if err != nil {
		return err
	}
	references := map[string][]string{}
	for _, one := range pushed {
		references[one.Name] = append(references[one.Name], full(one))
	}
	var results []build.Result
	for _, t := range targets {
		if !slices.ContainsFunc(results, func(r build.Result) bool { return r.Name == t.Name }) {
			results = append(results, build.Result{Name: t.Name, Index: t.Index})
		}
	}
	return a.report(o, results, references)
}

// transfer takes built indexes to their registries.
func (a *app) transfer(cmd *cobra.Command, o buildFlags, hosts map[string]registry.Host, targets []push.Target) ([]push.Artifact, error) {
	client := a.client(o.insecure, o.jobs)
	client.Hosts = hosts
	progress := a.terminal.progress()
	defer progress.finish()
	var pushed []push.Artifact
	err := progress.during("registries", "push", func() (err error) {
		pushed, err = push.Run(cmd.Context(), client, targets, progress.transfer("upload"))
		return err
	})
	return pushed, inPush(err)
}

// inPush marks an error of a push that began.
func inPush(err error) error {
	var partly *push.Error
	if errors.As(err, &partly) {
		return &pushError{err}
	}
	return err
}

// full is the reference of what was pushed with its digest.
func full(p push.Artifact) string {
	if strings.Contains(p.Reference, "@") {
		return p.Reference
	}
	return p.Reference + "@" + p.Digest.String()
}

// targets says where every image of the plan goes. The indexes are still missing. Tags that are empty are left out.
func (a *app) targets(p *project, flags pushFlags) ([]push.Target, error) {
	var targets []push.Target
	var wrong config.Errors
	for _, i := range p.plan.Images {
		at := config.Path{"images", i.Name, "push"}
		before := len(wrong)
		first := push.Target{Name: i.Name, Repository: i.Push.Repository, Tags: flags.tags, Immutable: i.Push.Immutable, KeepPlatforms: flags.keepPlatforms()}
		vars := p.vars
		vars.Image, vars.Registry, vars.Repository = i.Name, p.config.RegistryOf(i.Push.Repository, i.Push.Registry), i.Push.Repository
		vars.TagPrefix = p.config.TagPrefix(i.Name)
		expand := func(at config.Path, fill func(config.Vars) (string, error), vars config.Vars) string {
			value, err := fill(vars)
			if err != nil {
				wrong.Add(p.config.Errorf(at, "", "%w", err))
			}
			return value
		}
		if flags.tags == nil {
			for n, template := range i.Push.Tags {
				sound := len(wrong)
				if tag := expand(append(slices.Clone(at), "tags", n), template.Tag, vars); tag != "" {
					first.Tags = append(first.Tags, tag)
				} else if len(wrong) == sound {
					a.terminal.note("multiarch: %s: the tag %s is empty here and is left out", i.Name, template)
				}
			}
		}
		for _, repository := range append([]string{i.Push.Repository}, i.Push.Further...) {
			target := first
			target.Repository, vars.Repository = repository, repository
			vars.Registry = p.config.RegistryOf(repository, i.Push.Registry)
			for _, c := range i.Children {
				if i.Push.PerPlatform == "" {
					break
				}
				row, _ := arch.Find(c.Platform) // plans hold platforms of the table
				vars.Platform = config.PlatformVarsOf(row)
				at := append(slices.Clone(at), "per_platform")
				own := p.config.Qualify(expand(at, i.Push.PerPlatform.Expand, vars), i.Push.Registry)
				if i.Push.Redirected != nil {
					own = p.config.Redirected(i.Push.Registry, own)
				}
				if err := reference.CheckName(own); err != nil && len(wrong) == before {
					wrong = append(wrong, p.config.Errorf(at, "use lower-case letters, digits, and / . _ - between them; the tag is put behind it",
						"template %q: invalid repository %q", i.Push.PerPlatform, own))
				}
				for _, tag := range target.Tags {
					target.PerPlatform = append(target.PerPlatform, push.PlatformTag{Platform: c.Platform, Reference: own + ":" + tag})
				}
			}
			targets = append(targets, target)
		}
	}
	if len(wrong) > 0 {
		return nil, wrong.Sorted()
	}
	return targets, nil
}

// references are what images are called in a container engine: where they would be pushed to.
func (a *app) references(p *project, flags pushFlags) (map[string][]string, error) {
	targets, err := a.targets(p, flags)
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, t := range targets {
		if all[t.Name] != nil {
			continue // its first repository is the one that names it
		}
		for _, tag := range t.Tags {
			all[t.Name] = append(all[t.Name], t.Repository+":"+tag)
		}
	}
	return all, nil
}
