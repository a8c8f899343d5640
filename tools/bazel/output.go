package bazel

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// Packages lists the packages that hold, or held, generated rules.
func (w *Workspace) Packages() []string { return slices.Sorted(maps.Keys(w.rules)) }

// Loads says where the rules are loaded from.
func (w *Workspace) Loads() []rule.LoadInfo { return w.loads }

// Rules brings the rules of a package to Gazelle. Where f, the build file as it stands, is nil, gen are all of them.
// Otherwise new rules are put into f, and gen and empty are those for Gazelle to merge with rules of the same name, or to
// remove. They can be merged once only, since merging takes them apart. The error is a *TakenError; f is unchanged then.
func (w *Workspace) Rules(pkg string, f *rule.File) (gen, empty []*rule.Rule, err error) {
	gen = w.rules[pkg]
	if f == nil {
		return gen, nil, nil
	}
	if f.HasDefaultVisibility() {
		for _, r := range gen {
			if r.Kind() == imageKind || r.Kind() == platformKind {
				r.DelAttr("visibility")
			}
		}
	}
	return prepare(f, gen, w.stale(pkg, f), w.loads)
}

// New returns the build file of a package that has none: a comment that says where it comes from, and that all is
// visible to everybody where that is so.
func (w *Workspace) New(pkg string) []byte {
	var content strings.Builder
	switch pkg {
	case platformsPackage:
		content.WriteString("# One platform a row of tools/arch/table.go. Written by `multiarch generate`, which keeps what is added by hand.\n")
	case w.pkg, path.Join(w.pkg, "push"):
		content.WriteString("# Written by `multiarch generate` from multiarch.yaml. It keeps rules, attributes and comments that are added\n" +
			"# by hand, and what is marked with the comment: keep.\n")
	}
	if pkg == platformsPackage || pkg == w.pkg {
		content.WriteString("\npackage(default_visibility = [\"//visibility:public\"])\n")
	}
	return []byte(content.String())
}

// Files returns all generated files, stale or not, by path. Nothing is written. *TakenError and *ParseError.
func (w *Workspace) Files() ([]File, error) {
	var files []File
	var wrong []error
	for _, pkg := range w.Packages() {
		f, err := w.file(pkg)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		files = append(files, f)
	}
	others, err := w.Others()
	if err := errors.Join(append(wrong, err)...); err != nil {
		return nil, err
	}
	files = append(files, others...)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// Others returns the generated files that are no build files, stale or not.
func (w *Workspace) Others() ([]File, error) {
	files, err := w.fragment()
	if w.ws.module == module {
		files = append(files, w.whole(path.Join(platformsPackage, "platforms.bzl"), platformsTable(arch.Table())))
	}
	return files, err
}

func (w *Workspace) whole(file string, content []byte) File {
	old, _ := inputfile.ReadFile(w.ws.abs(file)) // what cannot be read is stale
	return File{file, old, content}
}

func (w *Workspace) file(pkg string) (File, error) {
	f, old, err := w.ws.load(pkg)
	if err != nil {
		return File{}, err
	}
	if f == nil {
		file := path.Join(pkg, "BUILD.bazel")
		if f, err = rule.LoadData(file, pkg, w.New(pkg)); err != nil {
			return File{}, &ParseError{file, err}
		}
	}
	gen, empty, err := w.Rules(pkg, f)
	if err != nil {
		return File{}, err
	}
	merge(f, gen, empty, w.loads)
	content, err := guarded(func() ([]byte, error) { return bzl.Format(f.File), nil })
	if err != nil {
		return File{}, &ParseError{f.Path, err}
	}
	return File{f.Path, old, append([]byte{}, content...)}, nil // an empty file is one
}
