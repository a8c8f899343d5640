package bazel

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bazelbuild/bazel-gazelle/rule"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// image adds the rules of one image: binaries that need build flags, and the image itself.
func (t *resolver) image(i plan.Image) {
	at := config.Path{"images", i.Name}
	children := make([]attributes, len(i.Children))
	for n, c := range i.Children {
		row, _ := arch.Find(c.Platform) // plans contain only platforms of the table
		vars := t.varsOf(i)
		vars.Platform = config.PlatformVarsOf(row)
		children[n] = t.settings(i, c, vars)
		own := t.values(append(slices.Clone(at), "annotations"), c.Annotations, vars)
		i.Children[n].Annotations = withoutVariables(own, false)
		if _, err := Constraints(row, t.ws.repo); err != nil {
			t.fail(append(at, "platforms"), "", "%w", err)
		}
	}
	for _, r := range t.binaries(at, i, children) {
		t.reserveTarget(t.pkg, r.Name(), i.Name)
		t.add(t.pkg, r)
	}
	t.files(i, children)

	i.Annotations = withoutVariables(t.values(append(slices.Clone(at), "annotations"), i.Annotations, t.varsOf(i)), false)
	common, overrides := splitOverrides(children)
	t.annotations(i, common, overrides)
	r := rule.NewRule(imageKind, i.Name)
	var platforms []string
	for _, c := range i.Children {
		platforms = append(platforms, c.Platform.String())
	}
	r.SetAttr("platforms", list(platforms...))
	r.SetAttr("visibility", []string{"//visibility:public"})
	for _, k := range slices.Sorted(maps.Keys(common)) {
		if s, ok := common[k].(string); ok {
			r.SetAttr(k, s)
		} else {
			r.SetAttr(k, value{expr(common[k])})
		}
	}
	if prefix := t.project.Config.TagPrefix(i.Name); prefix != "" {
		r.SetAttr("tag_prefix", prefix)
	}
	if o, ok := overridesOf(i.Children, overrides); ok {
		r.SetAttr("overrides", o)
	}
	for _, name := range targetsOf(i) {
		t.reserveTarget(t.pkg, name, i.Name)
	}
	t.add(t.pkg, r)
}

// targetsOf returns the names of the targets that multiarch_image declares.
func targetsOf(i plan.Image) []string {
	names := []string{i.Name, i.Name + ".layout", i.Name + ".digest", i.Name + "_test"}
	for _, c := range i.Children {
		slug := i.Name + "_" + c.Platform.Slug()
		names = append(names, slug, slug+".layout")
	}
	return names
}

// settings returns the arguments for a child that differ from the defaults.
func (t *resolver) settings(i plan.Image, c plan.Child, vars config.Vars) attributes {
	a := attributes{}
	put := func(key, v string) {
		if v != "" {
			a[key] = v
		}
	}
	putList := func(key string, v []string) {
		if len(v) > 0 {
			a[key] = v
		}
	}
	putDict := func(key string, v map[string]string) {
		if len(v) > 0 {
			a[key] = v
		}
	}
	s := t.project.Config.Images[i.Name].On(c.Platform)
	if s.Entrypoint != nil && (len(s.Entrypoint) > 0 || c.Go != nil || c.Bazel != "" || c.Base.Image != nil) {
		a["entrypoint"] = s.Entrypoint
	}
	if s.Cmd != nil && len(s.Cmd) == 0 && c.Base.Image != nil {
		a["cmd"] = s.Cmd // an empty list clears the base's cmd
	}
	put("base", t.base(c))
	if c.Compression != config.Gzip {
		a["compression"] = string(c.Compression)
	}
	switch created := s.Created; {
	case created.Commit:
		a["created"] = "commit"
	case !created.Time.IsZero() && created.Time.Unix() != 0:
		a["created"] = created.Time.Format(time.RFC3339Nano)
	}
	env := map[string]string{}
	for _, e := range c.Config.Env {
		name, v, _ := strings.Cut(e, "=")
		env[name] = v
	}
	at := config.Path{"images", i.Name}
	putDict("env", withoutVariables(t.values(append(slices.Clone(at), "env"), env, vars), true))
	putDict("labels", withoutVariables(t.values(append(slices.Clone(at), "labels"), c.Config.Labels, vars), false))
	if h := c.Config.Healthcheck; h != nil {
		a["healthcheck"] = healthcheck(*h)
	}
	putDict("directories", directories(c.Directories))
	links := map[string]string{}
	for _, l := range c.Links {
		links[l.Path] = l.To
	}
	putDict("links", links)
	put("binary_path", c.BazelPath)
	if c.Go != nil {
		put("binary_path", c.Go.Path)
		put("binary_capabilities", c.Go.Capabilities)
	}
	putList("cmd", c.Config.Cmd)
	putList("ports", c.Config.Ports)
	putList("volumes", c.Config.Volumes)
	put("user", c.Config.User)
	put("workdir", c.Config.Workdir)
	put("stop_signal", c.Config.StopSignal)
	var allow []string
	for _, kind := range s.Allow {
		allow = append(allow, string(kind))
	}
	putList("allow", allow)
	return a
}

// directories returns the argument directories: owner and mode by path.
func directories(list []plan.Directory) map[string]string {
	all := map[string]string{}
	for _, d := range list {
		var about []string
		if d.Owner != nil {
			about = append(about, fmt.Sprintf("%d:%d", d.Owner.UID, d.Owner.GID))
		}
		if d.Mode != 0 {
			about = append(about, fmt.Sprintf("%04o", d.Mode))
		}
		all[d.Path] = strings.Join(about, " ")
	}
	return all
}

// annotations sets the annotations of the image and of its children. Those of the image also apply to the index, so
// they cannot be derived from the values that children share.
func (t *resolver) annotations(i plan.Image, common attributes, overrides []attributes) {
	if len(i.Annotations) > 0 {
		common["annotations"] = i.Annotations
	}
	for n, c := range i.Children {
		differ := map[string]string{}
		for k, v := range c.Annotations {
			if own, ok := i.Annotations[k]; !ok || own != v {
				differ[k] = v
			}
		}
		if len(differ) > 0 {
			overrides[n]["annotations"] = differ
		}
	}
}

// reserveTarget reports an error if two images declare the same target.
func (t *resolver) reserveTarget(pkg, name, image string) {
	target := "//" + pkg + ":" + name
	if other, taken := t.reserved[target]; taken && other != image {
		first, second := min(other, image), max(other, image)
		pair := first + " " + second
		if t.reported[pair] {
			return
		}
		t.reported[pair] = true
		t.fail(config.Path{"images", second}, "rename one of the images", "%s and %s both declare the Bazel target %s",
			cmp.Or(first, "the package"), second, target)
		return
	}
	t.reserved[target] = image
}

// generatedTest is the name of the test that fails if generated files are stale.
const generatedTest = "generated_test"

func (t *resolver) addGeneratedTest(config string) {
	t.reserveTarget(t.pkg, generatedTest, "")
	r := rule.NewRule(generatedTestKind, generatedTest)
	r.SetAttr("config", config)
	t.add(t.pkg, r)
}
