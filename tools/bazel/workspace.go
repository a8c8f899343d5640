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

// NoWorkspaceError is returned where a configuration does not stand in a Bazel module.
type NoWorkspaceError struct{ Dir string }

func (e *NoWorkspaceError) Error() string {
	return "no MODULE.bazel in " + e.Dir + " or above"
}

// Hint says how to get one.
func (e *NoWorkspaceError) Hint() string {
	return "write one at the top of the tree, such as: module(name = \"example\") and bazel_dep(name = \"multiarch\", version = \"...\")"
}

// ParseError is returned for a file of Bazel's that cannot be read or understood. Nothing is generated then.
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

// Unwrap returns what is wrong.
func (e *ParseError) Unwrap() error { return e.Err }

// Hint says that nothing was changed.
func (e *ParseError) Hint() string { return "mend the file; nothing has been written" }

// workspace is the tree that Bazel sees: packages, and the module they belong to.
type workspace struct {
	root     string // absolute
	module   string // the name in MODULE.bazel
	apparent map[string]string
	included map[string]bool
	repos    map[string]bool // brought in by use_repo outside of what we generate
	builds   map[string]string
	planned  map[string]bool // packages that will have a build file
	parsed   map[string]*rule.File
	gomod    map[string]*modfile.File
}

// open reads the workspace that dir belongs to: the nearest parent with a MODULE.bazel.
func open(dir string) (*workspace, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	w := &workspace{apparent: map[string]string{}, included: map[string]bool{}, repos: map[string]bool{}, builds: map[string]string{}, planned: map[string]bool{},
		parsed: map[string]*rule.File{}, gomod: map[string]*modfile.File{}}
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

// readModule takes from a MODULE.bazel, or a file that it includes, what labels depend on.
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
			w.apparent[w.module] = "" // our own labels need no repository
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

// stringsIn returns the string arguments of a call, those with a name as well.
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

// repo returns how labels start that lead into a module.
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

// build returns the name of a package's build file, "" where there is none. Bazel prefers BUILD.bazel.
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

// isPackage tells whether a directory has a build file, or is about to.
func (w *workspace) isPackage(dir string) bool { return w.planned[dir] || w.build(dir) != "" }

// owner returns the package that a directory belongs to: its own, or that of the nearest parent with a build file.
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

// read parses the build file of a package for looking at it; nil where there is none.
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

// load parses the build file of a package for changing it; nil where there is none.
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

// guarded makes an error of a panic: buildtools has one for a backslash in front of a letter beyond Latin-1.
func guarded[T any](work func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("buildtools cannot read it: %v", p)
		}
	}()
	return work()
}

// goModule returns the go.mod that governs a directory, and where it stands; nil where there is none.
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
