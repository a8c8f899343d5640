package bazel

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"

	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

const fragmentHeader = "# Written by `multiarch generate`; do not edit.\n"

// ForeignFileError is returned where a file stands that would have to be overwritten, but was not generated.
type ForeignFileError struct{ Path string }

func (e *ForeignFileError) Error() string { return e.Path + " was not written by multiarch generate" }

// Hint says how it can be.
func (e *ForeignFileError) Hint() string { return "move what is in it to MODULE.bazel, and remove it" }

// fragment returns the part of MODULE.bazel that brings in the repositories of other Go modules and the images of bases:
// where it is needed, or where one stands that is so no more.
func (w *Workspace) fragment() ([]File, error) {
	file := path.Join(w.pkg, fragmentName)
	old, err := inputfile.ReadFile(w.ws.abs(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &ParseError{file, err}
	}
	ours := bytes.HasPrefix(old, []byte(fragmentHeader))
	switch {
	case len(w.repos)+len(w.pulls) == 0 && !ours:
		return nil, nil
	case len(w.repos)+len(w.pulls) == 0 && w.included:
		return []File{{file, old, []byte(fragmentHeader)}}, nil // without it, MODULE.bazel could not be read
	case len(w.repos)+len(w.pulls) == 0:
		return []File{{file, old, nil}}, nil
	case old != nil && !ours:
		return nil, &ForeignFileError{file}
	}
	var stmts []bzl.Expr
	if len(w.repos) > 0 {
		stmts = append(stmts, w.extension("gazelle", "go_deps", ":extensions.bzl"), useRepo("go_deps", w.repos))
	}
	if len(w.pulls) > 0 {
		stmts = append(stmts, w.extension("rules_oci", "oci", "oci:extensions.bzl"))
		var repos []string
		for _, p := range w.pulls {
			repos = append(repos, p.repo)
			pull := &bzl.CallExpr{X: &bzl.DotExpr{X: &bzl.Ident{Name: "oci"}, Name: "pull"}, ForceMultiLine: true}
			for _, a := range []struct{ key, value string }{{"name", p.repo}, {"digest", p.digest}, {"image", p.image}} {
				pull.List = append(pull.List, &bzl.AssignExpr{LHS: &bzl.Ident{Name: a.key}, Op: "=", RHS: text(a.value)})
			}
			stmts = append(stmts, pull)
		}
		stmts = append(stmts, useRepo("oci", repos))
	}
	body := bzl.Format(&bzl.File{Type: bzl.TypeModule, Stmt: stmts})
	return []File{{file, old, append([]byte(fragmentHeader+"\n"), body...)}}, nil
}

// extension is the statement that brings in a module extension.
func (w *Workspace) extension(module, name, file string) bzl.Expr {
	call := &bzl.CallExpr{X: &bzl.Ident{Name: "use_extension"}, List: []bzl.Expr{text(w.ws.repo(module) + "//" + file), text(name)}}
	return &bzl.AssignExpr{LHS: &bzl.Ident{Name: name}, Op: "=", RHS: call}
}

func useRepo(extension string, repos []string) bzl.Expr {
	use := &bzl.CallExpr{X: &bzl.Ident{Name: "use_repo"}, List: []bzl.Expr{&bzl.Ident{Name: extension}}, ForceMultiLine: true}
	for _, r := range slices.Sorted(slices.Values(repos)) {
		use.List = append(use.List, text(r))
	}
	return use
}
