package bazel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/label"
	"github.com/bazelbuild/bazel-gazelle/pathtools"
	"github.com/bazelbuild/bazel-gazelle/rule"

	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// goTarget is the Bazel target of a main package.
type goTarget struct {
	binary   string // label of the go_binary
	library  string // label of the go_library that the go_binary embeds, or ""
	external bool
}

// ownTargetHint is the hint for features that generated targets do not support.
const ownTargetHint = "write the target yourself and set bazel: to its label"

// binaries sets the attribute binary of each child of an image, and returns the required go_binary rules. A package
// with default flags needs none: rules_go passes -s -w, the default linker flags, in fastbuild (--strip=sometimes) and
// with --strip=always, which the release configuration sets.
func (t *resolver) binaries(at config.Path, i plan.Image, children []attributes) []*rule.Rule {
	var rules []*rule.Rule
	binaryNames := map[string]string{} // target names by library and flags
	for n, c := range i.Children {
		if c.Bazel != "" {
			if _, err := label.Parse(c.Bazel); err != nil {
				t.fail(
					append(at, "bazel"),
					"write it as //package:target, //package or @repository//package:target",
					"invalid label %q",
					c.Bazel,
				)
				return nil
			}
			children[n]["binary"] = c.Bazel
			continue
		}
		if c.Go == nil {
			continue
		}
		from := goPath(t.project.Config, i.Name, c)
		target, ok := t.goTarget(from, c.Go.Package)
		f, fine := t.flags(from, i, c)
		if !ok || !fine {
			continue
		}
		if f.cgo {
			children[n]["cgo"] = true
		}
		if f.isDefault() {
			children[n]["binary"] = target.binary
			continue
		}
		switch {
		case target.external:
			t.fail(
				append(from, "package"),
				ownTargetHint,
				"Bazel does not support build flags for a package of another module: %s",
				c.Go.Package,
			)
			continue
		case target.library == "":
			t.fail(
				append(from, "package"),
				"generate its rules with Gazelle, or "+ownTargetHint,
				"%s embeds no go_library that a binary with different flags could reuse",
				target.binary,
			)
			continue
		}
		key := target.library + "\n" + f.key()
		name, known := binaryNames[key]
		if !known {
			name = i.Name + "_bin"
			if len(binaryNames) > 0 {
				name += "_" + c.Platform.Slug()
			}
			binaryNames[key] = name
			rules = append(rules, t.goBinary(name, target, f))
		}
		children[n]["binary"] = ":" + name
	}
	return rules
}

// goPath returns the path of a child's Go settings in the configuration.
func goPath(c *config.Config, image string, child plan.Child) config.Path {
	p := child.Platform.String()
	if over, ok := c.Images[image].Overrides[child.Platform]; ok && over.Go != nil {
		return config.Path{"images", image, "overrides", p, "go"}
	}
	return config.Path{"images", image, "go"}
}

func (t *resolver) goBinary(name string, target goTarget, f flags) *rule.Rule {
	r := rule.NewRule(binaryKind, name)
	r.SetAttr("embed", list(target.library))
	if len(f.link) > 0 {
		r.SetAttr("gc_linkopts", list(f.link...))
	}
	if len(f.tags) > 0 {
		r.SetAttr("gotags", list(f.tags...))
	}
	if f.cgo {
		r.SetAttr("pure", "off") // overrides --@rules_go//go/config:pure
	}
	if len(f.defines) > 0 {
		r.SetAttr("x_defs", texts(f.defines))
	}
	r.SetAttr("visibility", []string{"//visibility:private"})
	t.checkVisible(target.library)
	return r
}

// checkVisible adds a note if the generated binary cannot embed a library: Gazelle makes those of main packages
// private.
func (t *resolver) checkVisible(library string) {
	l, err := label.Parse(library)
	if err != nil {
		return
	}
	f, err := t.ws.read(l.Pkg)
	if err != nil || f == nil || l.Pkg == t.pkg {
		if f == nil && err == nil {
			t.noteVisibility(l, "BUILD.bazel")
		}
		return
	}
	for _, r := range f.Rules {
		visible := r.AttrStrings("visibility")
		if r.Name() == l.Name &&
			(slices.Contains(visible, "//visibility:private") || visible == nil && !f.HasDefaultVisibility()) {
			t.noteVisibility(l, t.ws.build(l.Pkg))
		}
	}
}

func (t *resolver) noteVisibility(l label.Label, file string) {
	t.note(
		"%s: a binary in //%s embeds %s: add \"//%s:__pkg__\" to its visibility",
		path.Join(l.Pkg, file),
		t.pkg,
		l.Name,
		t.pkg,
	)
}

// goTarget finds the target of a main package, given as a directory or as an import path.
func (t *resolver) goTarget(at config.Path, pkg string) (goTarget, bool) {
	if found, known := t.mains[pkg]; known {
		return found, found.binary != ""
	}
	found, err := t.findGo(pkg)
	if err != nil {
		t.fail(append(at, "package"), "", "%w", err)
	}
	t.mains[pkg] = found
	return found, err == nil
}

func (t *resolver) findGo(pkg string) (goTarget, error) {
	if pkg == "." || strings.HasPrefix(pkg, "./") {
		return t.localGo(path.Join(t.top, pkg))
	}
	module, dir, err := t.ws.goModule(t.top)
	if err != nil {
		return goTarget{}, err
	}
	if module == nil || module.Module == nil {
		return goTarget{}, withHint("use a directory, such as ./app/hello", "resolving import path %q: no go.mod found", pkg)
	}
	if below, ok := within(module.Module.Mod.Path, pkg); ok {
		return t.localGo(path.Join(dir, below))
	}
	best := ""
	for _, r := range module.Require {
		if _, ok := within(r.Mod.Path, pkg); ok && len(r.Mod.Path) > len(best) {
			best = r.Mod.Path
		}
	}
	if best == "" {
		return goTarget{}, withHint(
			"run: go get "+pkg,
			"no module required by %s provides package %q",
			path.Join(dir, "go.mod"),
			pkg,
		)
	}
	repo := label.ImportPathToBazelRepoName(best)
	if !t.ws.repos[repo] {
		t.repos[repo] = true
	}
	below, _ := within(best, pkg)
	l := label.New(repo, below, pathtools.RelBaseName(below, best, ""))
	return goTarget{binary: l.String(), external: true}, nil
}

// within returns the part of an import path below a module's path.
func within(module, pkg string) (string, bool) {
	if pkg == module {
		return "", true
	}
	return strings.CutPrefix(pkg, module+"/")
}

// localGo finds the target of a directory: the go_binary in its build file, or the one that Gazelle would generate.
func (t *resolver) localGo(dir string) (goTarget, error) {
	if dir == "." {
		dir = ""
	}
	if err := hasGo(t.ws.abs(dir), "./"+dir); err != nil {
		return goTarget{}, err
	}
	module, at, err := t.ws.goModule(dir)
	if err != nil {
		return goTarget{}, err
	}
	prefix := path.Base(t.ws.root)
	if module != nil && module.Module != nil {
		prefix = path.Join(module.Module.Mod.Path, strings.TrimPrefix(strings.TrimPrefix(dir, at), "/"))
	}
	name := pathtools.RelBaseName(dir, prefix, t.ws.root)
	found := goTarget{
		binary:  label.New("", dir, name).String(),
		library: label.New("", dir, strings.ReplaceAll(name, ".", "_")+"_lib").String(),
	}
	f, err := t.ws.read(dir)
	if err != nil || f == nil {
		return found, err
	}
	var binaries []*rule.Rule
	for _, r := range f.Rules {
		if r.Kind() == binaryKind && !(dir == t.pkg && strings.Contains(r.Name(), "_bin")) {
			binaries = append(binaries, r)
		}
	}
	if i := slices.IndexFunc(binaries, func(r *rule.Rule) bool { return r.Name() == name }); i >= 0 {
		binaries = binaries[i : i+1]
	}
	switch len(binaries) {
	case 0:
		return found, nil
	case 1:
		found.binary = label.New("", dir, binaries[0].Name()).String()
		found.library = ""
		if embeds := binaries[0].AttrStrings("embed"); len(embeds) > 0 {
			if l, err := label.Parse(embeds[0]); err == nil {
				found.library = l.Abs("", dir).String()
			}
		}
		return found, nil
	}
	var names []string
	for _, b := range binaries {
		names = append(names, label.New("", dir, b.Name()).String())
	}
	return goTarget{}, withHint("set bazel: to "+strings.Join(names, " or "), "./%s has several go_binary rules", dir)
}

// hasGo returns an error if a directory has no Go package.
func hasGo(dir, shown string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(
			"use a directory relative to the source tree, such as ./app/hello",
			"directory %s does not exist",
			shown,
		)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", shown, err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			return nil
		}
	}
	return withHint("use the directory of a main package", "directory %s has no Go files", shown)
}
