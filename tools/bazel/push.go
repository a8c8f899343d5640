package bazel

import (
	"errors"
	"path"
	"path/filepath"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/label"
	"github.com/bazelbuild/bazel-gazelle/rule"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Names of the targets of an image in the package of the images: the image's name and one of these endings.
const (
	tagsEnding = ".tags"
	pushEnding = ".push"
	loadEnding = ".load"
)

// Names of rules_oci's targets of an image in the push package: the image's name, and with this ending.
const ociLoadEnding = "_load"

// pushAll is the name of the target that pushes all images. The push package has an alias of the same name.
const pushAll = "push"

// pushPackage is the package of the targets of rules_oci. It exists only if MODULE.bazel depends on rules_oci.
func (t *resolver) pushPackage() string { return path.Join(t.pkg, "push") }

// push adds the rules that push and load images.
func (t *resolver) push(images []plan.Image) {
	t.reserveTarget(t.pkg, pushAll, "")
	if t.ws.hasOCI() {
		t.reserveTarget(t.pushPackage(), pushAll, "")
	}
	var all []string
	for _, i := range images {
		repository := i.Push.Repository
		known := i.Push.Registry != "" || repository != i.Name
		destinations := []string{t.destination(i, i.Name, "", repository, known)}
		t.ociLoad(i)
		if i.Push.PerPlatform != "" {
			destinations = append(destinations, t.perPlatform(i, known)...)
		}
		t.declare(i, t.pushRule(i.Name+pushEnding, destinations))
		load := rule.NewRule(loadKind, i.Name+loadEnding)
		load.SetAttr("images", list(destinations[0]))
		t.declare(i, load)
		all = append(all, destinations...)
	}
	if len(images) == 0 {
		return
	}
	r := t.pushRule(pushAll, all)
	if t.joins() {
		r.SetAttr("joined", true)
	}
	t.add(t.pkg, r)
	if t.ws.hasOCI() {
		r.SetAttr("visibility", []string{"//visibility:public"})
		alias := rule.NewRule(aliasKind, pushAll)
		alias.SetAttr("actual", t.imageLabel(pushAll))
		t.add(t.pushPackage(), alias)
	}
}

// joins reports whether the configuration has images that join existing ones.
func (t *resolver) joins() bool {
	for _, i := range t.project.Config.Images {
		if !i.From.IsZero() {
			return true
		}
	}
	return false
}

// declare adds a rule of an image to the package of the images.
func (t *resolver) declare(i plan.Image, r *rule.Rule) {
	t.reserveTarget(t.pkg, r.Name(), i.Name)
	t.add(t.pkg, r)
}

func (t *resolver) pushRule(name string, destinations []string) *rule.Rule {
	r := rule.NewRule(pushKind, name)
	r.SetAttr("images", list(destinations...))
	r.SetAttr("config", path.Join(t.pkg, filepath.Base(t.project.File)))
	return r
}

// perPlatform adds the rules for the images of each platform, and returns the labels of their tags.
func (t *resolver) perPlatform(i plan.Image, known bool) []string {
	var all []string
	repository := i.Push.Repository
	for _, c := range i.Children {
		row, _ := arch.Find(c.Platform)
		vars := config.Vars{
			Image:      i.Name,
			Registry:   t.project.Config.RegistryOf(repository, i.Push.Registry),
			Repository: repository,
			Platform:   config.PlatformVarsOf(row),
		}
		own, err := t.intermediate(i.Push.PerPlatform, i.Push.Registry, vars)
		if err != nil {
			t.fail(config.Path{"images", i.Name, "push", "per_platform"}, "", "%w", err)
			break
		}
		target := i.Name + "_" + c.Platform.Slug()
		all = append(all, t.destination(i, target, c.Platform.String(), own, known || strings.Contains(own, "/")))
	}
	return all
}

// destination adds the rules for an index or for one platform's image, and returns the label of its tags.
func (t *resolver) destination(i plan.Image, target, platform, repository string, known bool) string {
	tags := rule.NewRule(tagsKind, target+tagsEnding)
	tags.SetAttr("image", ":"+target)
	if known {
		tags.SetAttr("repository", repository)
	}
	var templates []string
	for _, tag := range i.Push.Tags {
		templates = append(templates, string(tag))
	}
	tags.SetAttr("templates", list(templates...))
	if prefix := t.project.Config.TagPrefix(i.Name); prefix != "" {
		tags.SetAttr("tag_prefix", prefix)
	}
	if platform != "" {
		tags.SetAttr("platform", platform)
	}
	t.declare(i, tags)
	if t.ws.hasOCI() {
		tags.SetAttr("visibility", []string{"//visibility:public"})
		push := rule.NewRule(ociPushKind, target)
		push.SetAttr("image", t.imageLabel(target+".layout"))
		push.SetAttr("remote_tags", t.imageLabel(tags.Name()))
		if known {
			push.SetAttr("repository", repository)
		}
		t.reserveTarget(t.pushPackage(), push.Name(), i.Name)
		t.add(t.pushPackage(), push)
	}
	return ":" + tags.Name()
}

// ociLoad adds the rule that loads an image with rules_oci.
func (t *resolver) ociLoad(i plan.Image) {
	if !t.ws.hasOCI() {
		return
	}
	load := rule.NewRule(ociLoadKind, i.Name+ociLoadEnding)
	load.SetAttr("image", t.imageLabel(i.Name+".layout"))
	load.SetAttr("format", "oci")
	// Without a loader, rules_oci passes a multi-platform OCI archive to docker load, which only recent versions
	// support, and a pipe to podman load, which needs a file.
	load.SetAttr("loader", t.ws.repo("multiarch")+"//tools/rules/toolchain:multiarch")
	load.SetAttr("repo_tags", t.imageLabel(i.Name+tagsEnding+".references"))
	t.reserveTarget(t.pushPackage(), load.Name(), i.Name)
	t.add(t.pushPackage(), load)
}

func (t *resolver) imageLabel(target string) string { return label.New("", t.pkg, target).String() }

// intermediate returns the repository of one platform's image, as `multiarch push` does.
func (t *resolver) intermediate(template config.PlatformTemplate, registry string, vars config.Vars) (string, error) {
	const hint = "use .Repository, .Image and .Platform; only tags can use .Git"
	vars.Checkout = noGit{}
	repository, err := template.Expand(vars)
	switch {
	case errors.Is(err, errUsesGit):
		return "", withHint(hint, "template %q: Bazel does not support .Git in repositories", template)
	case err != nil:
		return "", withHint(hint, "%w (generated files do not depend on who generates them)", err)
	}
	repository = t.project.Config.Qualify(repository, registry)
	if err := reference.CheckName(repository); err != nil {
		return "", withHint("use {{.Repository}}-{{.Platform.Official}}, for example", "invalid repository %q", repository)
	}
	return repository, nil
}
