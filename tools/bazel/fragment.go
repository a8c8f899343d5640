package bazel

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"

	bzl "github.com/bazelbuild/buildtools/build"
)

const fragmentHeader = "# Written by `multiarch generate`; do not edit.\n"

// ForeignFileError is returned where a file stands that would have to be overwritten, but was not generated.
type ForeignFileError struct{ Path string }

func (e *ForeignFileError) Error() string { return e.Path + " was not written by multiarch generate" }

// Hint says how it can be.
func (e *ForeignFileError) Hint() string { return "move what is in it to MODULE.bazel, and remove it" }

// fragment returns the part of MODULE.bazel that brings in the repositories of other Go modules: where it is needed, or
// where one stands that is so no more.
func (w *Workspace) fragment() ([]File, error) {
	file := path.Join(w.pkg, fragmentName)
	old, err := os.ReadFile(w.ws.abs(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &ParseError{file, err}
	}
	ours := bytes.HasPrefix(old, []byte(fragmentHeader))
	switch {
	case len(w.repos) == 0 && !ours:
		return nil, nil
	case len(w.repos) == 0 && w.included:
		return []File{{file, old, []byte(fragmentHeader)}}, nil // without it, MODULE.bazel could not be read
	case len(w.repos) == 0:
		return []File{{file, old, nil}}, nil
	case old != nil && !ours:
		return nil, &ForeignFileError{file}
	}
	deps := &bzl.Ident{Name: "go_deps"}
	use := &bzl.CallExpr{X: &bzl.Ident{Name: "use_repo"}, List: []bzl.Expr{deps}, ForceMultiLine: true}
	for _, r := range w.repos {
		use.List = append(use.List, text(r))
	}
	extension := &bzl.CallExpr{X: &bzl.Ident{Name: "use_extension"}, List: []bzl.Expr{text(w.ws.repo("gazelle") + "//:extensions.bzl"), text("go_deps")}}
	body := bzl.Format(&bzl.File{Type: bzl.TypeModule, Stmt: []bzl.Expr{
		&bzl.AssignExpr{LHS: deps, Op: "=", RHS: extension}, use,
	}})
	return []File{{file, old, append([]byte(fragmentHeader+"\n"), body...)}}, nil
}
