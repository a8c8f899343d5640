package release

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// TagOptions select the tags of a release.
type TagOptions struct {
	// Tags replace the tags of the configuration, unless they are nil.
	Tags []string
	// KeepPlatforms forbids moving a tag to an index that lacks platforms which the tag has now.
	KeepPlatforms bool
	// Note, if it is set, is called for every configured tag that is empty.
	Note func(format string, args ...any)
}

// Targets returns the destinations of every image of a plan, without the indexes. It leaves out tags that are empty.
func Targets(c *config.Config, p *plan.Plan, vars config.Vars, o TagOptions) ([]push.Target, error) {
	e := expander{config: c, vars: vars, options: o}
	var targets []push.Target
	for _, i := range p.Images {
		targets = append(targets, e.targets(i)...)
	}
	if len(e.wrong) > 0 {
		return nil, e.wrong.Sorted()
	}
	return targets, nil
}

// expander expands the templates of targets and collects all errors.
type expander struct {
	config  *config.Config
	vars    config.Vars
	options TagOptions
	wrong   config.Errors
}

func (e *expander) targets(i plan.Image) []push.Target {
	vars := e.vars
	vars.Image, vars.Repository = i.Name, i.Push.Repository
	vars.Registry = e.config.RegistryOf(i.Push.Repository, i.Push.Registry)
	vars.TagPrefix = e.config.TagPrefix(i.Name)
	before := len(e.wrong)
	tags := e.options.Tags
	if tags == nil {
		tags = e.tags(i, vars)
	}
	var targets []push.Target
	for _, repository := range append([]string{i.Push.Repository}, i.Push.Further...) {
		target := push.Target{
			Name: i.Name, Repository: repository, Tags: tags,
			Immutable: i.Push.Immutable, KeepPlatforms: e.options.KeepPlatforms,
		}
		vars.Repository, vars.Registry = repository, e.config.RegistryOf(repository, i.Push.Registry)
		for _, c := range i.Children {
			if i.Push.PerPlatform == "" {
				break
			}
			own := e.perPlatform(i, c.Platform, vars, len(e.wrong) == before)
			for _, tag := range tags {
				target.PerPlatform = append(target.PerPlatform, push.PlatformTag{Platform: c.Platform, Reference: own + ":" + tag})
			}
		}
		targets = append(targets, target)
	}
	return targets
}

// tags expands the tags of an image.
func (e *expander) tags(i plan.Image, vars config.Vars) (tags []string) {
	for n, template := range i.Push.Tags {
		tag, err := template.Tag(vars)
		switch {
		case err != nil:
			e.wrong.Add(e.config.Errorf(config.Path{"images", i.Name, "push", "tags", n}, "", "%w", err))
		case tag != "":
			tags = append(tags, tag)
		case e.options.Note != nil:
			e.options.Note("multiarch: %s: tag %s is empty; skipped", i.Name, template)
		}
	}
	return tags
}

// perPlatform expands the repository of the image for one platform. An invalid one is an error if check is true.
func (e *expander) perPlatform(i plan.Image, p arch.Platform, vars config.Vars, check bool) string {
	at := config.Path{"images", i.Name, "push", "per_platform"}
	row, _ := arch.Find(p) // plans hold platforms of the table
	vars.Platform = config.PlatformVarsOf(row)
	own, err := i.Push.PerPlatform.Expand(vars)
	if err != nil {
		e.wrong.Add(e.config.Errorf(at, "", "%w", err))
		return own
	}
	own = e.config.Qualify(own, i.Push.Registry)
	if i.Push.Redirected != nil {
		own = e.config.Redirected(i.Push.Registry, own)
	}
	if err := reference.CheckName(own); err != nil && check {
		e.wrong.Add(e.config.Errorf(at, "use lower-case letters and digits, separated by / . _ or -; the tag is appended",
			"template %q: invalid repository %q", i.Push.PerPlatform, own))
	}
	return own
}

// References returns the names of images in a container engine: their tags in the first repository of each.
func References(targets []push.Target) map[string][]string {
	all := map[string][]string{}
	for _, t := range targets {
		if all[t.Name] != nil {
			continue
		}
		for _, tag := range t.Tags {
			all[t.Name] = append(all[t.Name], t.Repository+":"+tag)
		}
	}
	return all
}

// CheckRegistries makes sure that every image of a plan has a registry.
func CheckRegistries(p *plan.Plan) error {
	for _, i := range p.Images {
		for _, repository := range append([]string{i.Push.Repository}, i.Push.Further...) {
			if i.Push.Registry == "" && (repository == i.Name || !strings.Contains(repository, "/")) {
				return fault.Usagef("set registry: in multiarch.yaml, or use --registry or MULTIARCH_REGISTRY",
					"image %s: no registry configured", i.Name)
			}
		}
	}
	return nil
}

// CheckTagged makes sure that every target has a tag.
func CheckTagged(targets []push.Target) error {
	for _, t := range targets {
		if len(t.Tags) == 0 {
			return fault.Usagef("{{.Git.Tag}} requires a git tag on HEAD: check out a tagged commit, or pass --tag; "+
				"release --dry-run needs no tags",
				"image %s: no tags: every configured tag is empty", t.Name)
		}
	}
	return nil
}

// CheckDistinct makes sure that no two images are published under one name. given is whether the tags come from a flag
// instead of the configuration.
func CheckDistinct(c *config.Config, targets []push.Target, given bool) error {
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
			return config.Errors{c.Errorf(config.Path{"images", o.image, "push", "per_platform"},
				"include the platform, as in {{.Repository}}-{{.Platform.Official}}", "several platforms would be published as %s",
				reference)}
		case given:
			return fault.Usagef("release them separately, or set another repository for one of them in multiarch.yaml",
				"images %s and %s would both be published as %s", other.image, o.image, reference)
		}
		return config.Errors{c.Errorf(config.Path{"images", o.image, "push"},
			"set another repository or other tags for one of them", "collides with images.%s: both would be published as %s",
			other.image, reference)}
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

// Parts returns the targets of a part of a release: the first repository of each image. Later, the release that joins
// the parts publishes single platforms and the other repositories. The tag of a part may be moved.
func Parts(targets []push.Target) []push.Target {
	var first []push.Target
	for _, t := range targets {
		if !slices.ContainsFunc(first, func(f push.Target) bool { return f.Name == t.Name }) {
			t.PerPlatform, t.Immutable = nil, nil
			first = append(first, t)
		}
	}
	return first
}
