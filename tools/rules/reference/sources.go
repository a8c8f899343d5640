package reference

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// folder is the Bazel package of the rules, and where it is in the checkout.
const folder = "tools/rules"

// sources holds the Starlark files that have been read, by their paths below the folder.
type sources struct {
	rules   fs.FS
	modules map[string]*module
}

// A module is a Starlark file.
type module struct {
	name   string // path below the folder
	file   *build.File
	public []string              // names that those who load the file can see, in order
	names  map[string]build.Expr // what top-level names stand for: a function, or what has been assigned
	loads  map[string]loaded
}

// A loaded name comes from another file.
type loaded struct {
	label string
	name  string // over there
	at    node
}

// A node is an expression together with the file that it stands in.
type node struct {
	in   *module
	expr build.Expr
}

func (n node) errorf(format string, args ...any) error {
	line := 1
	switch e := n.expr.(type) {
	case *build.File:
	case *build.DefStmt:
		line = e.StartPos.Line
	default:
		start, _ := e.Span()
		line = start.Line
	}
	return n.in.errorf(line, format, args...)
}

func (m *module) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", path.Join(folder, m.name), line, fmt.Errorf(format, args...))
}

// open reads a file once.
func (s *sources) open(name string) (*module, error) {
	if m, ok := s.modules[name]; ok {
		return m, nil
	}
	content, err := fs.ReadFile(s.rules, name)
	if err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	file, err := build.ParseBzl(path.Join(folder, name), content)
	if err != nil {
		return nil, fmt.Errorf("parsing the rules: %w", err)
	}
	m := &module{name: name, file: file, names: map[string]build.Expr{}, loads: map[string]loaded{}}
	for _, stmt := range file.Stmt {
		switch stmt := stmt.(type) {
		case *build.LoadStmt:
			for i, local := range stmt.To {
				m.loads[local.Name] = loaded{stmt.Module.Value, stmt.From[i].Name, node{m, stmt}}
			}
		case *build.DefStmt:
			m.define(stmt.Name, stmt)
		case *build.AssignExpr:
			if to, ok := stmt.LHS.(*build.Ident); ok && stmt.Op == "=" {
				m.define(to.Name, stmt.RHS)
			} else if name == "defs.bzl" {
				return nil, node{m, stmt}.errorf("an assignment here must be of one name")
			}
		}
	}
	s.modules[name] = m
	return m, nil
}

func (m *module) define(name string, expr build.Expr) {
	if _, again := m.names[name]; !again && !strings.HasPrefix(name, "_") {
		m.public = append(m.public, name)
	}
	m.names[name] = expr
}

// definition follows a name through assignments and loads to what it stands for. Errors are said to be at the node.
func (s *sources) definition(in *module, name string, at node) (node, error) {
	first, seen := name, map[string]bool{}
	for {
		key := in.name + ":" + name
		if seen[key] {
			return node{}, at.errorf("%s is defined by itself", first)
		}
		seen[key] = true
		if expr, ok := in.names[name]; ok {
			at = node{in, expr}
			alias, ok := expr.(*build.Ident)
			if !ok {
				return at, nil
			}
			name = alias.Name
			continue
		}
		from, ok := in.loads[name]
		if !ok {
			return node{}, at.errorf("%s: %s is not defined in %s", first, name, path.Join(folder, in.name))
		}
		file, ok := fileOf(in.name, from.label)
		if !ok {
			return node{}, from.at.errorf("%s: %s is not a file of //%s", first, from.label, folder)
		}
		var err error
		at = from.at
		if in, err = s.open(file); err != nil {
			return node{}, at.errorf("%s: %w", first, err)
		}
		name = from.name
	}
}

// fileOf returns the file that a label in a file means, both as paths below the folder.
func fileOf(in, label string) (string, bool) {
	if name, ok := strings.CutPrefix(label, ":"); ok {
		label = path.Join(path.Dir(in), name)
	} else {
		rest, ok := strings.CutPrefix(label, "//"+folder)
		if !ok || rest == "" || !strings.ContainsRune("/:", rune(rest[0])) {
			return "", false
		}
		label = strings.TrimPrefix(strings.Replace(rest, ":", "/", 1), "/")
	}
	return label, fs.ValidPath(label)
}

// An entry is one of a dict whose keys are strings.
type entry struct {
	key   string
	at    node // the key
	value node
}

var errNotLiteral = errors.New("it is not written out, and cannot be read without being run")

// dict returns the public entries of a dict: of one that is written out, of one that has a name, or of the union of such.
// It returns none where there is no expression.
func (s *sources) dict(in *module, expr build.Expr) ([]entry, error) {
	all, err := s.flatten(node{in, expr}, map[build.Expr]bool{})
	var public []entry
	for _, e := range all {
		if !strings.HasPrefix(e.key, "_") {
			public = append(public, e)
		}
	}
	return public, err
}

func (s *sources) flatten(n node, within map[build.Expr]bool) ([]entry, error) {
	if n.expr == nil {
		return nil, nil
	}
	if within[n.expr] {
		return nil, n.errorf("a dict is defined by itself")
	}
	within[n.expr] = true
	defer delete(within, n.expr)
	switch e := n.expr.(type) {
	case *build.ParenExpr:
		return s.flatten(node{n.in, e.X}, within)
	case *build.Ident:
		to, err := s.definition(n.in, e.Name, n)
		if err != nil {
			return nil, err
		}
		return s.flatten(to, within)
	case *build.DictExpr:
		var all []entry
		for _, item := range e.List {
			key, ok := item.Key.(*build.StringExpr)
			if !ok {
				return nil, node{n.in, item.Key}.errorf("a key: %w", errNotLiteral)
			}
			all = append(all, entry{key.Value, node{n.in, key}, node{n.in, item.Value}})
		}
		return all, nil
	case *build.BinaryExpr:
		if e.Op != "|" {
			break
		}
		left, err := s.flatten(node{n.in, e.X}, within)
		if err != nil {
			return nil, err
		}
		right, err := s.flatten(node{n.in, e.Y}, within)
		return union(left, right), err
	}
	return nil, n.errorf("a dict: %w", errNotLiteral)
}

// union is what Starlark's is: keys stay where they were first, and the last value counts.
func union(left, right []entry) []entry {
	where := map[string]int{}
	var out []entry
	for _, e := range append(left, right...) {
		if i, ok := where[e.key]; ok {
			out[i] = e
			continue
		}
		where[e.key] = len(out)
		out = append(out, e)
	}
	return out
}
