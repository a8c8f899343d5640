// Package reference writes the reference documentation of the Starlark rules from their sources, without running them:
// from docstrings, and from what rules and providers say of their attributes and fields. What has no documentation is an
// error, so that the reference is complete wherever it exists.
package reference

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// A symbol is a public name with what those who use it have to know.
type symbol struct {
	name    string
	kind    string
	doc     string   // Markdown
	usage   string   // the signature of a macro
	columns []string // of the table of members
	members [][]string
	returns string // Markdown
}

// Markdown returns the reference of the public names of defs.bzl, in its order: macros with their signature and
// arguments, rules with their attributes, and providers with their fields. A name that defs.bzl only passes on is
// followed to its definition. Attributes and fields whose names begin with an underscore are left out.
//
// The file system is the folder of the rules (tools/rules), with defs.bzl and private. The error has a line for each name
// that lacks documentation, for each documented argument that does not exist, and for what cannot be understood without
// running it, as "tools/rules/private/push.bzl:31: ...".
func Markdown(rules fs.FS) ([]byte, error) {
	s := &sources{rules: rules, modules: map[string]*module{}}
	defs, err := s.open("defs.bzl")
	if err != nil {
		return nil, err
	}
	top := node{defs, defs.file}
	intro := docstringOf(defs.file.Stmt)
	if intro == nil {
		return nil, top.errorf("it has no docstring")
	}
	if len(defs.public) == 0 {
		return nil, top.errorf("it has no public names")
	}
	var symbols []symbol
	var wrong []error
	for _, name := range defs.public {
		at, err := s.definition(defs, name, top)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		found, errs := s.symbol(name, at)
		symbols = append(symbols, found)
		wrong = append(wrong, errs...)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return markdown(strings.Join(lines(intro), "\n"), symbols), nil
}

// symbol reads a definition. It returns everything that is wrong with it, and not only what comes first.
func (s *sources) symbol(name string, at node) (symbol, []error) {
	if def, ok := at.expr.(*build.DefStmt); ok {
		return macro(name, at, def)
	}
	if call, ok := at.expr.(*build.CallExpr); ok {
		switch callee, _ := call.X.(*build.Ident); {
		case callee == nil:
		case callee.Name == "rule":
			return s.rule(name, at, call)
		case callee.Name == "provider":
			return s.provider(name, at, call)
		}
	}
	return symbol{}, []error{at.errorf("%s is neither a function nor the result of rule() or provider()", name)}
}

func macro(name string, at node, def *build.DefStmt) (symbol, []error) {
	out := symbol{name: name, kind: "macro", columns: []string{"Argument", "Default", "Description"}}
	literal := docstringOf(def.Body)
	if literal == nil {
		return out, []error{at.errorf("%s has no docstring", name)}
	}
	doc, wrong := parseDocstring(name, at.in, literal)
	out.doc, out.returns = doc.text, doc.returns
	if out.doc == "" {
		wrong = append(wrong, node{at.in, literal}.errorf("%s: the docstring does not say what it does", name))
	}

	var params, usage []string
	for _, p := range def.Params {
		usage = append(usage, build.FormatString(p))
		ident, op := build.GetParamName(p)
		if ident == "" {
			continue // the asterisk before arguments that are given by name only
		}
		param := op + ident
		params = append(params, param)
		described, ok := doc.args[param]
		if !ok || described.doc == "" {
			wrong = append(wrong, node{at.in, p}.errorf("%s: argument %q is not documented; describe it under Args", name, param))
		}
		value := "required"
		if assign, ok := p.(*build.AssignExpr); ok {
			value = code(assign.RHS)
		} else if op != "" {
			value = ""
		}
		out.members = append(out.members, []string{inCode(param), value, described.doc})
	}
	for _, documented := range doc.order {
		if !slices.Contains(params, documented) {
			wrong = append(wrong, at.in.errorf(doc.args[documented].line, "%s: argument %q is documented and does not exist", name, documented))
		}
	}
	out.usage = signature(name, usage)
	return out, wrong
}

func (s *sources) rule(name string, at node, call *build.CallExpr) (symbol, []error) {
	out := symbol{name: name, kind: "rule", columns: []string{"Attribute", "Type", "Default", "Mandatory", "Description"}}
	var wrong []error
	for _, kind := range []string{"test", "executable"} {
		if is, err := boolean(at.in, argument(call, kind)); err != nil {
			wrong = append(wrong, err)
		} else if is {
			out.kind = kind + " rule"
			break
		}
	}
	var err error
	if out.doc, err = documentation(at, argument(call, "doc")); err != nil {
		wrong = append(wrong, at.errorf("rule %s: %w", name, err))
	}
	attrs, err := s.dict(at.in, argument(call, "attrs"))
	if err != nil {
		return out, append(wrong, err)
	}
	for _, a := range attrs {
		row, err := attribute(a)
		if err != nil {
			wrong = append(wrong, a.at.errorf("%s: attribute %q: %w", name, a.key, err))
			continue
		}
		out.members = append(out.members, row)
	}
	return out, wrong
}

func (s *sources) provider(name string, at node, call *build.CallExpr) (symbol, []error) {
	out := symbol{name: name, kind: "provider", columns: []string{"Field", "Description"}}
	var wrong []error
	doc := argument(call, "doc")
	if doc == nil && len(call.List) > 0 {
		if _, named := call.List[0].(*build.AssignExpr); !named {
			doc = call.List[0]
		}
	}
	var err error
	if out.doc, err = documentation(at, doc); err != nil {
		wrong = append(wrong, at.errorf("provider %s: %w", name, err))
	}
	fields := argument(call, "fields")
	if list, ok := fields.(*build.ListExpr); ok {
		if len(list.List) > 0 {
			wrong = append(wrong, node{at.in, list}.errorf("%s: fields is a list, which does not document them; make it a dict", name))
		}
		return out, wrong
	}
	entries, err := s.dict(at.in, fields)
	if err != nil {
		return out, append(wrong, err)
	}
	for _, f := range entries {
		text, err := documentation(f.at, f.value.expr)
		if err != nil {
			wrong = append(wrong, f.at.errorf("%s: field %q: %w", name, f.key, err))
			continue
		}
		out.members = append(out.members, []string{inCode(f.key), inCell(text)})
	}
	return out, wrong
}
