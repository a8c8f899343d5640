package reference

import (
	"errors"
	"fmt"

	"github.com/bazelbuild/buildtools/build"
)

// defaults are those of Bazel, by the type of an attribute: https://bazel.build/rules/lib/toplevel/attr
var defaults = map[string]string{
	"bool":                    "False",
	"int":                     "0",
	"int_list":                "[]",
	"label":                   "None",
	"label_keyed_string_dict": "{}",
	"label_list":              "[]",
	"label_list_dict":         "{}",
	"output":                  "None",
	"output_list":             "[]",
	"string":                  `""`,
	"string_dict":             "{}",
	"string_keyed_label_dict": "{}",
	"string_list":             "[]",
	"string_list_dict":        "{}",
}

// attribute returns the row of an attribute: its name, type, default, whether it is mandatory, and what it is.
func attribute(a entry) ([]string, error) {
	call, ok := a.value.expr.(*build.CallExpr)
	if !ok {
		return nil, errNotLiteral
	}
	kind, ok := call.X.(*build.DotExpr)
	if !ok {
		return nil, errNotLiteral
	}
	if of, ok := kind.X.(*build.Ident); !ok || of.Name != "attr" {
		return nil, errNotLiteral
	}
	value, known := defaults[kind.Name]
	if !known {
		return nil, fmt.Errorf("unknown type attr.%s", kind.Name)
	}
	mandatory, err := boolean(a.value.in, argument(call, "mandatory"))
	if err != nil {
		return nil, err
	}
	must := "no"
	value = inCode(value)
	if given := argument(call, "default"); given != nil {
		value = code(given)
	}
	if mandatory {
		must, value = "yes", ""
	}
	doc, err := documentation(a.value, argument(call, "doc"))
	if err != nil {
		return nil, err
	}
	return []string{inCode(a.key), inCode(kind.Name), value, must, inCell(doc)}, nil
}

// argument returns the value of an argument given by name, or nil.
func argument(call *build.CallExpr, name string) build.Expr {
	for _, a := range call.List {
		if assign, ok := a.(*build.AssignExpr); ok {
			if to, ok := assign.LHS.(*build.Ident); ok && to.Name == name {
				return assign.RHS
			}
		}
	}
	return nil
}

// boolean returns what True and False stand for; nothing is False.
func boolean(in *module, expr build.Expr) (bool, error) {
	if expr == nil {
		return false, nil
	}
	if ident, ok := expr.(*build.Ident); ok && (ident.Name == "True" || ident.Name == "False") {
		return ident.Name == "True", nil
	}
	return false, node{in, expr}.errorf("neither True nor False: %w", errNotLiteral)
}

// documentation returns the text of a doc that belongs to a node.
func documentation(of node, expr build.Expr) (string, error) {
	if expr == nil {
		return "", errors.New("it has no doc")
	}
	text, ok := literal(expr)
	if !ok {
		return "", fmt.Errorf("its doc: %w", errNotLiteral)
	}
	if text = dedent(text); text == "" {
		return "", errors.New("its doc is empty")
	}
	return text, nil
}

// literal returns the value of a string, or of a sum of strings.
func literal(expr build.Expr) (string, bool) {
	switch e := expr.(type) {
	case *build.StringExpr:
		return e.Value, true
	case *build.ParenExpr:
		return literal(e.X)
	case *build.BinaryExpr:
		if e.Op != "+" {
			return "", false
		}
		left, ok := literal(e.X)
		right, also := literal(e.Y)
		return left + right, ok && also
	}
	return "", false
}
