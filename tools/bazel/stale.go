package bazel

import (
	"path"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/label"
	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// stale returns the rules of a build file that were generated and are so no more.
func (w *Workspace) stale(pkg string, f *rule.File) []*rule.Rule {
	current := map[string]bool{}
	for _, r := range w.rules[pkg] {
		current[r.Name()] = true
	}
	var empty []*rule.Rule
	for _, r := range f.Rules {
		if current[r.Name()] || r.ShouldKeep() {
			continue
		}
		gone := false
		switch r.Kind() {
		case imageKind:
			gone = pkg == w.pkg
		case debianKind, baseImageKind:
			gone = pkg == w.pkg && strings.HasSuffix(r.Name(), baseEnding)
		case tagsKind, ociPushKind, ociLoadKind:
			gone = pkg == path.Join(w.pkg, "push") && w.goneFromPush(r)
		case pushKind:
			gone = pkg == path.Join(w.pkg, "push") && r.Name() == "push"
		case filesKind, binaryKind:
			gone = w.previous[label.New("", pkg, r.Name()).String()]
		case platformKind:
			gone = pkg == platformsPackage && w.ws.module == module
		}
		if gone {
			empty = append(empty, rule.NewRule(r.Kind(), r.Name()))
		}
	}
	return empty
}

// goneFromPush tells whether a rule of the push package is about an image that is gone, or is one that was generated
// for a platform of an image. Any other rule was put there by hand, for an image there is.
func (w *Workspace) goneFromPush(r *rule.Rule) bool {
	l, err := label.Parse(r.AttrString("image"))
	if err != nil || l.Repo != "" || l.Relative || l.Pkg != w.pkg {
		return false
	}
	target := strings.TrimSuffix(l.Name, ".layout")
	image := withoutSlug(target)
	if !w.names[target] && !w.names[image] {
		return !w.stands(l.Name) && !w.stands(target)
	}
	return image != target && (r.Name() == target || r.Name() == target+"_tags")
}

// stands tells whether a rule of the generated package has this name and stays.
func (w *Workspace) stands(name string) bool {
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

// previousLabels are the rules that were generated for the images of a build file and stand beside them, by absolute
// label: NAME_bin... and NAME_files... of each image NAME.
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
					if err == nil && (strings.HasPrefix(l.Name, r.Name()+"_bin") || strings.HasPrefix(l.Name, r.Name()+"_files")) && l.Repo == "" {
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
