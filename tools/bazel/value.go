package bazel

import (
	"maps"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"
)

// value is a generated attribute with its own merge logic. Gazelle can merge sorted lists of strings, but neither
// dictionaries nor ordered lists.
type value struct{ expr bzl.Expr }

var _ rule.Merger = value{}

// BzlExpr returns the attribute of a new rule.
func (v value) BzlExpr() bzl.Expr { return v.expr }

// Merge returns the generated value with the comments of the old one and its elements marked `# keep`.
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

// dict returns a dictionary with its keys in the given order, or sorted if order is nil.
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

// glob returns a call of Bazel's glob.
func glob(include, exclude []string) value {
	call := &bzl.CallExpr{X: &bzl.Ident{Name: "glob"}, List: []bzl.Expr{list(include...).expr}}
	if len(exclude) > 0 {
		call.List = append(call.List, &bzl.AssignExpr{LHS: &bzl.Ident{Name: "exclude"}, Op: "=", RHS: list(exclude...).expr})
		call.ForceMultiLine = true
	}
	return value{call}
}

// mergeExpr returns generated, reusing equal nodes of old with their comments, and the elements of old marked `# keep`.
// nil means no value.
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

// orNil converts a nil pointer to a nil interface, which Gazelle checks for.
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

// mergeLists returns nil if nothing is generated and nothing is kept. A generated empty list stays an empty list.
func mergeLists(generated, old *bzl.ListExpr) *bzl.ListExpr {
	merged := *old
	merged.List = nil
	used := make([]bool, len(old.List))
	if generated != nil {
		merged.ForceMultiLine = old.ForceMultiLine || generated.ForceMultiLine
		places := map[string][]int{} // positions in old, by value: lists may have duplicates
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

// mergeGlobs merges the patterns of two globs. Other arguments, such as allow_empty, are preserved.
func mergeGlobs(generated, old *bzl.CallExpr) bzl.Expr {
	merged := *old
	merged.List = nil
	place := map[string]int{"include": -2, "exclude": -1} // positional arguments must come first
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

// argument returns the name of an argument of glob.
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
