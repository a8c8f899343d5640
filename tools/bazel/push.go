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

// pushPackage is the only package that loads rules_oci.
func (t *resolver) pushPackage() string { return path.Join(t.pkg, "push") }

// push adds the rules that push single images, and the one that pushes all of them.
func (t *resolver) push(images []plan.Image) {
	var all []string
	t.reserveTarget(t.pushPackage(), "push", "")
	for _, i := range images {
		repository := i.Push.Repository
		known := i.Push.Registry != "" || repository != i.Name
		all = append(all, t.destination(i, i.Name, "", repository, known))
		load := rule.NewRule(ociLoadKind, i.Name+"_load")
		load.SetAttr("image", t.imageLabel(i.Name+".layout"))
		load.SetAttr("format", "oci")
		// Without a loader, rules_oci passes a multi-platform OCI archive to docker load, which only recent versions
		// support, and a pipe to podman load, which needs a file.
		load.SetAttr("loader", t.ws.repo("multiarch")+"//tools/rules/toolchain:multiarch")
		load.SetAttr("repo_tags", ":"+i.Name+"_tags.references")
		t.reserveTarget(t.pushPackage(), load.Name(), i.Name)
		t.add(t.pushPackage(), load)
		if i.Push.PerPlatform == "" {
			continue
		}
		at := config.Path{"images", i.Name, "push", "per_platform"}
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
				t.fail(at, "", "%w", err)
				break
			}
			all = append(
				all,
				t.destination(i, i.Name+"_"+c.Platform.Slug(), c.Platform.String(), own, known || strings.Contains(own, "/")),
			)
		}
	}
	if len(images) > 0 {
		r := rule.NewRule(pushKind, "push")
		r.SetAttr("images", list(all...))
		r.SetAttr("config", path.Join(t.pkg, filepath.Base(t.project.File)))
		t.add(t.pushPackage(), r)
	}
}

// destination adds the rules for an index or for one platform's image, and returns the label of its tags.
func (t *resolver) destination(i plan.Image, target, platform, repository string, known bool) string {
	tags := rule.NewRule(tagsKind, target+"_tags")
	tags.SetAttr("image", t.imageLabel(target))
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
	push := rule.NewRule(ociPushKind, target)
	push.SetAttr("image", t.imageLabel(target+".layout"))
	push.SetAttr("remote_tags", ":"+tags.Name())
	if known {
		push.SetAttr("repository", repository)
	}
	for _, r := range []*rule.Rule{tags, push} {
		t.reserveTarget(t.pushPackage(), r.Name(), i.Name)
		t.add(t.pushPackage(), r)
	}
	return ":" + tags.Name()
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
