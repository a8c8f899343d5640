package bazel

import (
	"path"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/label"
	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// staleRules returns the rules of a build file that were generated earlier and are no longer needed.
func (w *Workspace) staleRules(pkg string, f *rule.File) []*rule.Rule {
	current := map[string]bool{}
	for _, r := range w.rules[pkg] {
		current[r.Name()] = true
	}
	var empty []*rule.Rule
	for _, r := range f.Rules {
		if current[r.Name()] || r.ShouldKeep() {
			continue
		}
		removed := false
		switch r.Kind() {
		case imageKind:
			removed = pkg == w.pkg
		case debianKind, baseImageKind:
			removed = pkg == w.pkg && strings.HasSuffix(r.Name(), baseEnding)
		case tagsKind, ociPushKind, ociLoadKind:
			removed = (pkg == w.pkg || pkg == path.Join(w.pkg, "push")) && w.removedDestination(pkg, r)
		case pushKind, aliasKind:
			removed = r.Name() == pushAll && (pkg == path.Join(w.pkg, "push") || pkg == w.pkg && r.Kind() == pushKind) ||
				pkg == w.pkg && w.removedRunner(r, pushEnding)
		case loadKind:
			removed = pkg == w.pkg && w.removedRunner(r, loadEnding)
		case filesKind, binaryKind:
			removed = w.previous[label.New("", pkg, r.Name()).String()]
		case platformKind:
			removed = pkg == platformsPackage && w.ws.module == module
		}
		if removed {
			empty = append(empty, rule.NewRule(r.Kind(), r.Name()))
		}
	}
	return empty
}

// removedDestination reports whether a rule belongs to a removed image, or has the name of a rule that was generated
// for an image. Other rules for existing images were added by hand.
func (w *Workspace) removedDestination(pkg string, r *rule.Rule) bool {
	l, err := label.Parse(r.AttrString("image"))
	if err != nil || l.Repo != "" {
		return false
	}
	if l = l.Abs("", pkg); l.Pkg != w.pkg {
		return false
	}
	target := strings.TrimSuffix(l.Name, ".layout")
	if image := withoutSlug(target); !w.names[target] && !w.names[image] {
		return !w.preserved(l.Name) && !w.preserved(target)
	}
	switch r.Kind() {
	case tagsKind:
		return r.Name() == target+tagsEnding || r.Name() == target+"_tags" // the name that earlier versions generated
	case ociLoadKind:
		return r.Name() == target+ociLoadEnding
	}
	return r.Name() == target
}

// removedRunner reports whether a rule was generated to push or load a removed image.
func (w *Workspace) removedRunner(r *rule.Rule, ending string) bool {
	image, ok := strings.CutSuffix(r.Name(), ending)
	return ok && !w.names[image] && !w.preserved(image) && slices.Contains(r.AttrStrings("images"), ":"+image+tagsEnding)
}

// preserved reports whether the generated package has a rule of this name that will be preserved.
func (w *Workspace) preserved(name string) bool {
	f, err := w.ws.read(w.pkg)
	if err != nil || f == nil {
		return false
	}
	r := byName(f)[name]
	return r != nil && (r.Kind() != imageKind || r.ShouldKeep())
}

func withoutSlug(target string) string {
	longest := ""
	for _, row := range arch.Table() {
		if slug := "_" + row.Slug(); strings.HasSuffix(target, slug) && len(slug) > len(longest) {
			longest = slug
		}
	}
	return strings.TrimSuffix(target, longest)
}

// previousLabels returns the absolute labels of rules that were generated for the images of a build file: NAME_bin...
// and NAME_files... of each image NAME.
func previousLabels(f *rule.File, pkg string) map[string]bool {
	all := map[string]bool{}
	if f == nil {
		return all
	}
	for _, r := range f.Rules {
		if r.Kind() != imageKind {
			continue
		}
		for _, key := range []string{"binary", "files", "overrides"} {
			if v := r.Attr(key); v != nil {
				bzl.Walk(v, func(e bzl.Expr, _ []bzl.Expr) {
					s, ok := e.(*bzl.StringExpr)
					if !ok || !strings.ContainsAny(s.Value, ":/") {
						return
					}
					l, err := label.Parse(s.Value)
					if err == nil && (strings.HasPrefix(l.Name, r.Name()+"_bin") || strings.HasPrefix(l.Name, r.Name()+"_files")) &&
						l.Repo == "" {
						all[l.Abs("", pkg).String()] = true
					}
				})
			}
		}
	}
	return all
}

func labelPackage(s string) string {
	l, err := label.Parse(s)
	if err != nil {
		return ""
	}
	return l.Pkg
}
