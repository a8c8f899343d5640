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

// Packages returns the packages that contain generated rules or used to.
func (w *Workspace) Packages() []string { return slices.Sorted(maps.Keys(w.rules)) }

// Loads returns the files that define the generated rules.
func (w *Workspace) Loads() []rule.LoadInfo { return w.loads }

// Rules returns the rules of a package for Gazelle. If f, the existing build file, is nil, gen contains all rules.
// Otherwise Rules inserts new rules into f; Gazelle must merge gen into the rules of the same name and remove empty.
// Merging modifies the rules, so they can be merged only once. On a *NameConflictError, f is unchanged.
func (w *Workspace) Rules(pkg string, f *rule.File) (gen, empty []*rule.Rule, err error) {
	gen = w.rules[pkg]
	if f == nil {
		return gen, nil, nil
	}
	if f.HasDefaultVisibility() {
		for _, r := range gen {
			switch r.Kind() {
			case imageKind, platformKind, tagsKind, pushKind:
				r.DelAttr("visibility")
			}
		}
	}
	return prepare(f, gen, w.staleRules(pkg, f), w.loads)
}

// NewBuildFile returns the initial build file of a package: a comment about its origin and the default visibility.
func (w *Workspace) NewBuildFile(pkg string) []byte {
	var content strings.Builder
	switch pkg {
	case platformsPackage:
		content.WriteString(
			"# One platform per row of tools/arch/table.go, written by `multiarch generate`. " +
				"Changes made by hand are preserved.\n",
		)
	case w.pkg, path.Join(w.pkg, "push"):
		content.WriteString(
			"# Written by `multiarch generate` from multiarch.yaml. " +
				"Rules, attributes and comments added by hand are preserved,\n" +
				"# as is anything marked with the comment \"keep\".\n",
		)
	}
	if w.needsDirective(pkg) {
		content.WriteString(languageDirective + "\n")
	}
	if pkg == platformsPackage || pkg == w.pkg {
		content.WriteString("\npackage(default_visibility = [\"//visibility:public\"])\n")
	}
	return []byte(content.String())
}

// Files returns all generated files, sorted by path, whether stale or not. It writes nothing. Errors are of type
// *NameConflictError, *ParseError or *NotGeneratedError.
func (w *Workspace) Files() ([]File, error) {
	var files []File
	var errs []error
	for _, pkg := range w.Packages() {
		f, err := w.file(pkg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f)
	}
	others, err := w.OtherFiles()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	files = append(files, others...)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// OtherFiles returns the generated files that are not build files, whether stale or not.
func (w *Workspace) OtherFiles() ([]File, error) {
	files, err := w.fragment()
	if w.ws.module == module {
		files = append(files, w.whole(path.Join(platformsPackage, "platforms.bzl"), platformsTable(arch.Table())))
	}
	return files, err
}

func (w *Workspace) whole(file string, content []byte) File {
	old, _ := inputfile.ReadFile(w.ws.abs(file)) // a file that cannot be read is stale
	return File{file, old, content}
}

func (w *Workspace) file(pkg string) (File, error) {
	f, old, err := w.ws.load(pkg)
	if err != nil {
		return File{}, err
	}
	file, content := path.Join(pkg, "BUILD.bazel"), w.NewBuildFile(pkg)
	if f != nil {
		file, content = f.Path, insertDirective(old)
	}
	if f == nil || w.lacksDirective(pkg, f) {
		if f, err = rule.LoadData(file, pkg, content); err != nil {
			return File{}, &ParseError{file, err}
		}
	}
	gen, empty, err := w.Rules(pkg, f)
	if err != nil {
		return File{}, err
	}
	merge(f, gen, empty, w.loads)
	formatted, err := guarded(func() ([]byte, error) { return bzl.Format(f.File), nil })
	if err != nil {
		return File{}, &ParseError{f.Path, err}
	}
	return File{f.Path, old, append([]byte{}, formatted...)}, nil // an empty file is one
}
