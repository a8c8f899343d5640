package bazel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/label"
	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"
	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// NoWorkspaceError reports a configuration outside a Bazel module.
type NoWorkspaceError struct{ Dir string }

func (e *NoWorkspaceError) Error() string {
	return "no MODULE.bazel in " + e.Dir + " or its parent directories"
}

// Hint returns how to fix the error.
func (e *NoWorkspaceError) Hint() string {
	return "create one at the root of the source tree with: " +
		"module(name = \"example\") and bazel_dep(name = \"multiarch\", version = \"...\")"
}

// ParseError reports a file of the workspace that cannot be read or parsed.
type ParseError struct {
	Path string // relative to the workspace root
	Err  error
}

func (e *ParseError) Error() string {
	var syntax bzl.ParseError
	if errors.As(e.Err, &syntax) {
		return fmt.Sprintf("%s:%d:%d: %s", e.Path, syntax.Pos.Line, syntax.Pos.LineRune, syntax.Message)
	}
	if message := e.Err.Error(); strings.HasPrefix(message, e.Path+":") {
		return message
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap returns the underlying error.
func (e *ParseError) Unwrap() error { return e.Err }

// Hint returns how to fix the error.
func (e *ParseError) Hint() string { return "fix the file; no files were written" }

// workspace is a Bazel workspace: its module and its packages.
type workspace struct {
	root     string // absolute
	module   string // name in MODULE.bazel
	apparent map[string]string
	included map[string]bool
	repos    map[string]bool // repositories in use_repo outside the generated fragment
	builds   map[string]string
	planned  map[string]bool // packages that will have a build file
	parsed   map[string]*rule.File
	gomod    map[string]*modfile.File
}

// open finds the workspace of dir, the nearest parent directory with a MODULE.bazel, and reads its module files.
func open(dir string) (*workspace, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	w := &workspace{
		apparent: map[string]string{},
		included: map[string]bool{},
		repos:    map[string]bool{},
		builds:   map[string]string{},
		planned:  map[string]bool{},
		parsed:   map[string]*rule.File{},
		gomod:    map[string]*modfile.File{},
	}
	for w.root = abs; ; w.root = filepath.Dir(w.root) {
		if w.isFile("MODULE.bazel") {
			return w, w.readModule("MODULE.bazel")
		}
		if w.root == filepath.Dir(w.root) {
			return nil, &NoWorkspaceError{dir}
		}
	}
}

func (w *workspace) abs(rel string) string { return filepath.Join(w.root, filepath.FromSlash(rel)) }

func (w *workspace) isFile(rel string) bool {
	info, err := os.Stat(w.abs(rel))
	return err == nil && info.Mode().IsRegular()
}

// readModule reads the statements that labels depend on from a MODULE.bazel or a file that it includes.
func (w *workspace) readModule(file string) error {
	content, err := inputfile.ReadFile(w.abs(file))
	if err != nil {
		return &ParseError{file, err}
	}
	parsed, err := guarded(func() (*bzl.File, error) { return bzl.ParseModule(file, content) })
	if err != nil {
		return &ParseError{file, err}
	}
	for _, stmt := range parsed.Stmt {
		call, ok := stmt.(*bzl.CallExpr)
		if !ok {
			continue
		}
		r := &bzl.Rule{Call: call}
		switch r.Kind() {
		case "module":
			w.module = r.Name()
			w.apparent[w.module] = "" // labels in the same module need no repository
		case "bazel_dep":
			w.apparent[r.Name()] = r.Name()
			if other := r.AttrString("repo_name"); other != "" {
				w.apparent[r.Name()] = other
			}
		case "use_repo":
			for _, repo := range stringsIn(call.List) {
				w.repos[repo] = true
			}
		case "include":
			for _, one := range stringsIn(call.List) {
				l, err := label.Parse(one)
				if err != nil || l.Repo != "" || w.included[one] {
					continue
				}
				w.included[one] = true
				if below := path.Join(l.Pkg, l.Name); path.Base(below) != fragmentName && w.isFile(below) {
					if err := w.readModule(below); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// stringsIn returns the positional and named string arguments of a call.
func stringsIn(list []bzl.Expr) []string {
	var all []string
	for _, e := range list {
		if a, ok := e.(*bzl.AssignExpr); ok {
			e = a.RHS
		}
		if s, ok := e.(*bzl.StringExpr); ok {
			all = append(all, s.Value)
		}
	}
	return all
}

// repo returns the prefix of labels in a module.
func (w *workspace) repo(module string) string {
	name, known := w.apparent[module]
	switch {
	case !known:
		return "@" + module
	case name == "":
		return ""
	}
	return "@" + name
}

// hasOCI reports whether the module depends on rules_oci.
func (w *workspace) hasOCI() bool {
	_, known := w.apparent["rules_oci"]
	return known
}

// build returns the name of a package's build file, or "" if there is none. Bazel prefers BUILD.bazel.
func (w *workspace) build(pkg string) string {
	name, known := w.builds[pkg]
	if !known {
		for _, candidate := range []string{"BUILD.bazel", "BUILD"} {
			if w.isFile(path.Join(pkg, candidate)) {
				name = candidate
				break
			}
		}
		w.builds[pkg] = name
	}
	return name
}

// isPackage reports whether a directory has or will have a build file.
func (w *workspace) isPackage(dir string) bool { return w.planned[dir] || w.build(dir) != "" }

// owner returns the package of a directory: the directory itself or its nearest parent with a build file.
func (w *workspace) owner(dir string) string {
	for ; dir != "" && !w.isPackage(dir); dir = parent(dir) {
	}
	return dir
}

func parent(dir string) string {
	if dir = path.Dir(dir); dir == "." || dir == "/" {
		return ""
	}
	return dir
}

// read parses the build file of a package. Callers must not modify the result, which is nil if there is no file.
func (w *workspace) read(pkg string) (*rule.File, error) {
	if f, known := w.parsed[pkg]; known {
		return f, nil
	}
	f, _, err := w.load(pkg)
	if err == nil {
		w.parsed[pkg] = f
	}
	return f, err
}

// load parses a fresh copy of the build file of a package, or returns nil if there is none.
func (w *workspace) load(pkg string) (f *rule.File, content []byte, err error) {
	name := w.build(pkg)
	if name == "" {
		return nil, nil, nil
	}
	file := path.Join(pkg, name)
	if content, err = inputfile.ReadFile(w.abs(file)); err != nil {
		return nil, nil, &ParseError{file, err}
	}
	if f, err = guarded(func() (*rule.File, error) { return rule.LoadData(file, pkg, content) }); err != nil {
		return nil, nil, &ParseError{file, err}
	}
	return f, content, nil
}

// guarded converts a panic to an error: buildtools panics on a backslash before a character beyond Latin-1.
func guarded[T any](work func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("buildtools cannot parse it: %v", p)
		}
	}()
	return work()
}

// goModule returns the go.mod of a directory and the directory that contains it, or nil if there is none.
func (w *workspace) goModule(dir string) (*modfile.File, string, error) {
	for ; ; dir = parent(dir) {
		file := path.Join(dir, "go.mod")
		m, known := w.gomod[dir]
		if !known {
			content, err := inputfile.ReadFile(w.abs(file))
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return nil, "", &ParseError{file, err}
			default:
				if m, err = modfile.ParseLax(file, content, nil); err != nil {
					return nil, "", &ParseError{file, err}
				}
			}
			w.gomod[dir] = m
		}
		if m != nil || dir == "" {
			return m, dir, nil
		}
	}
}
