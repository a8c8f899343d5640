package bazel

import (
	"maps"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"
)

// value is a generated attribute that is no plain string. Gazelle merges lists of strings itself, but neither
// dictionaries nor lists whose order counts.
type value struct{ expr bzl.Expr }

var _ rule.Merger = value{}

// BzlExpr returns the attribute as it stands in a new rule.
func (v value) BzlExpr() bzl.Expr { return v.expr }

// Merge returns the generated value with the comments of the old one, and with what is marked `# keep` in it.
func (v value) Merge(old bzl.Expr) bzl.Expr { return mergeExpr(v.expr, old) }

func set(words string) map[string]bool {
	s := map[string]bool{}
	for _, w := range strings.Fields(words) {
		s[w] = true
	}
	return s
}

func text(s string) *bzl.StringExpr { return &bzl.StringExpr{Value: s} }

func list(items ...string) value {
	l := &bzl.ListExpr{ForceMultiLine: len(items) > 1}
	for _, i := range items {
		l.List = append(l.List, text(i))
	}
	return value{l}
}

// dict has its keys in the order given, sorted where none is.
func dict[V any](m map[string]V, order []string, convert func(V) bzl.Expr) value {
	if order == nil {
		order = slices.Sorted(maps.Keys(m))
	}
	d := &bzl.DictExpr{ForceMultiLine: len(m) > 1}
	for _, k := range order {
		if v, ok := m[k]; ok {
			d.List = append(d.List, &bzl.KeyValueExpr{Key: text(k), Value: convert(v)})
		}
	}
	return value{d}
}

func texts(m map[string]string) value {
	return dict(m, nil, func(s string) bzl.Expr { return text(s) })
}

// glob is a call of Bazel's glob.
func glob(include, exclude []string) value {
	call := &bzl.CallExpr{X: &bzl.Ident{Name: "glob"}, List: []bzl.Expr{list(include...).expr}}
	if len(exclude) > 0 {
		call.List = append(call.List, &bzl.AssignExpr{LHS: &bzl.Ident{Name: "exclude"}, Op: "=", RHS: list(exclude...).expr})
		call.ForceMultiLine = true
	}
	return value{call}
}

// mergeExpr returns generated, with the nodes of old where they say the same (so that their comments stay) and with
// what is kept in old. nil stands for no value.
func mergeExpr(generated, old bzl.Expr) bzl.Expr {
	switch o := old.(type) {
	case *bzl.ListExpr:
		if g, ok := generated.(*bzl.ListExpr); ok || generated == nil {
			return orNil(mergeLists(g, o))
		}
	case *bzl.DictExpr:
		if g, ok := generated.(*bzl.DictExpr); ok || generated == nil {
			return orNil(mergeDicts(g, o))
		}
	case *bzl.CallExpr:
		if g, ok := generated.(*bzl.CallExpr); ok && isGlob(g) && isGlob(o) {
			return mergeGlobs(g, o)
		}
	case *bzl.StringExpr:
		if g, ok := generated.(*bzl.StringExpr); ok && g.Value == o.Value {
			return o
		}
	}
	if old != nil && rule.ShouldKeep(old) {
		return old
	}
	return generated
}

// orNil makes a nil pointer the nil that Gazelle looks for.
func orNil[E interface {
	comparable
	bzl.Expr
}](e E) bzl.Expr {
	var none E
	if e == none {
		return nil
	}
	return e
}

// mergeLists returns nil where nothing is generated and nothing kept. An empty list that is generated stays one.
func mergeLists(generated, old *bzl.ListExpr) *bzl.ListExpr {
	merged := *old
	merged.List = nil
	used := make([]bool, len(old.List))
	if generated != nil {
		merged.ForceMultiLine = old.ForceMultiLine || generated.ForceMultiLine
		places := map[string][]int{} // in old, by text: a list may say the same twice
		for i, o := range old.List {
			if s, ok := o.(*bzl.StringExpr); ok {
				places[s.Value] = append(places[s.Value], i)
			}
		}
		for _, g := range generated.List {
			s, ok := g.(*bzl.StringExpr)
			if ok && len(places[s.Value]) > 0 {
				at := places[s.Value][0]
				places[s.Value] = places[s.Value][1:]
				used[at] = true
				g = old.List[at]
			}
			merged.List = append(merged.List, g)
		}
	}
	for i, o := range old.List {
		if !used[i] && rule.ShouldKeep(o) {
			merged.List = append(merged.List, o)
			merged.ForceMultiLine = true
		}
	}
	if generated == nil && len(merged.List) == 0 {
		return nil
	}
	return &merged
}

func sameText(a, b bzl.Expr) bool {
	s, ok := a.(*bzl.StringExpr)
	t, also := b.(*bzl.StringExpr)
	return ok && also && s.Value == t.Value
}

func mergeDicts(generated, old *bzl.DictExpr) *bzl.DictExpr {
	merged := *old
	merged.List = nil
	used := map[*bzl.KeyValueExpr]bool{}
	if generated != nil {
		merged.ForceMultiLine = old.ForceMultiLine || generated.ForceMultiLine
		for _, g := range generated.List {
			at := slices.IndexFunc(old.List, func(o *bzl.KeyValueExpr) bool { return sameText(g.Key, o.Key) })
			if at >= 0 {
				o := old.List[at]
				used[o] = true
				if !rule.ShouldKeep(o) && !rule.ShouldKeep(o.Key) {
					o.Value = mergeExpr(g.Value, o.Value)
				}
				g = o
			}
			merged.List = append(merged.List, g)
		}
	}
	for _, o := range old.List {
		if used[o] {
			continue
		}
		if !rule.ShouldKeep(o) && !rule.ShouldKeep(o.Key) {
			kept := mergeExpr(nil, o.Value)
			if kept == nil {
				continue
			}
			o.Value = kept
		}
		merged.List = append(merged.List, o)
	}
	if generated == nil && len(merged.List) == 0 {
		return nil
	}
	return &merged
}

func isGlob(c *bzl.CallExpr) bool {
	switch x := c.X.(type) {
	case *bzl.Ident:
		return x.Name == "glob"
	case *bzl.LiteralExpr:
		return x.Token == "glob"
	}
	return false
}

// mergeGlobs merges the patterns of two globs; other arguments, such as allow_empty, stay.
func mergeGlobs(generated, old *bzl.CallExpr) bzl.Expr {
	merged := *old
	merged.List = nil
	place := map[string]int{"include": -2, "exclude": -1} // what has no name has to come first
	took := map[string]bool{}
	for _, arg := range old.List {
		name := argument(arg)
		took[name] = true
		if name != "include" && name != "exclude" {
			merged.List = append(merged.List, arg)
			continue
		}
		v := mergeExpr(valueOf(find(generated, name)), valueOf(arg))
		if v == nil {
			continue
		}
		if a, ok := arg.(*bzl.AssignExpr); ok {
			a.RHS = v
			v = a
		}
		merged.List = append(merged.List, v)
	}
	for _, arg := range generated.List {
		if !took[argument(arg)] {
			merged.List = append(merged.List, arg)
			merged.ForceMultiLine = true
		}
	}
	slices.SortStableFunc(merged.List, func(a, b bzl.Expr) int { return place[argument(a)] - place[argument(b)] })
	return &merged
}

// argument names an argument of glob.
func argument(e bzl.Expr) string {
	if a, ok := e.(*bzl.AssignExpr); ok {
		switch n := a.LHS.(type) {
		case *bzl.Ident:
			return n.Name
		case *bzl.LiteralExpr:
			return n.Token
		}
	}
	return "include"
}

func find(call *bzl.CallExpr, name string) bzl.Expr {
	for _, arg := range call.List {
		if argument(arg) == name {
			return arg
		}
	}
	return nil
}

func valueOf(e bzl.Expr) bzl.Expr {
	if a, ok := e.(*bzl.AssignExpr); ok {
		return a.RHS
	}
	return e
}
