package bazel

import (
	"fmt"
	"slices"

	"github.com/bazelbuild/bazel-gazelle/merger"
	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"
)

// TakenError is returned where a rule stands that has the name, but not the kind, of one to be generated.
type TakenError struct {
	Path             string // relative to the workspace root
	Line             int
	Name, Kind, Want string
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%s:%d: a %s is called %s, as the %s to be generated is", e.Path, e.Line, e.Kind, e.Name, e.Want)
}

// Hint says how both can be.
func (e *TakenError) Hint() string { return "give the rule, or the image, another name" }

// merge carries out what Gazelle does with generated rules that prepare has seen, by rule.MergeRules as merger.MergeFile
// does, with one difference: rules are found by their name in a map. MergeFile compares each with each, which takes
// minutes for the rules that push a thousand images. The tests of tools/bazel/gazelle hold the outcome of both against each
// other.
func merge(f *rule.File, gen, empty []*rule.Rule, loads []rule.LoadInfo) {
	kinds, standing := Kinds(), byName(f)
	for _, e := range empty {
		old := standing[e.Name()]
		info := kinds[e.Kind()]
		rule.MergeRules(e, old, info.MergeableAttrs, f.Path)
		if old.IsEmpty(info) {
			old.Delete()
		}
	}
	for _, g := range gen {
		rule.MergeRules(g, standing[g.Name()], kinds[g.Kind()].MergeableAttrs, f.Path)
	}
	merger.FixLoads(f, loads)
	f.Sync()
}

func byName(f *rule.File) map[string]*rule.Rule {
	m := make(map[string]*rule.Rule, len(f.Rules))
	for _, r := range f.Rules {
		if n := r.Name(); n != "" {
			m[n] = r
		}
	}
	return m
}

// prepare puts new rules into f, and returns those that Gazelle has to merge with rules that stand there.
func prepare(f *rule.File, gen, empty []*rule.Rule, loads []rule.LoadInfo) (merging, removing []*rule.Rule, err error) {
	standing := byName(f)
	kinds := Kinds()
	for _, g := range gen {
		if old := standing[g.Name()]; old != nil && old.Kind() != g.Kind() {
			start, _ := f.File.Stmt[old.Index()].Span()
			return nil, nil, &TakenError{f.Path, start.Line, old.Name(), old.Kind(), g.Kind()}
		}
	}
	addLoads(f, gen, loads)
	insert(f, gen, standing)
	for i, r := range slices.Concat(gen, empty) {
		old := standing[r.Name()]
		if old == nil || old.ShouldKeep() {
			continue
		}
		if old.Attr("visibility") == nil {
			r.DelAttr("visibility") // a person has taken it away, or the package's default says it
		}
		for _, key := range old.AttrKeys() {
			if kinds[r.Kind()].MergeableAttrs[key] && r.Attr(key) == nil && !keepsAttr(old, key) {
				takeBack(r, old, key)
			}
		}
		// Gazelle's language of Go takes any go_binary for the one it knows, and linker flags for a person's.
		switch isNew := i < len(gen); {
		case r.Kind() == binaryKind && isNew:
			rule.MergeRules(r, old, kinds[binaryKind].MergeableAttrs, f.Path)
		case r.Kind() == binaryKind:
			old.Delete()
		case isNew:
			merging = append(merging, r)
		default:
			removing = append(removing, r)
		}
	}
	return merging, removing, nil
}

// takeBack removes an attribute that is no longer generated, save for what is kept in it. Gazelle would do so for lists
// of strings only.
func takeBack(r, old *rule.Rule, key string) {
	if kept := mergeExpr(nil, old.Attr(key)); kept != nil {
		r.SetAttr(key, value{kept})
	} else {
		old.DelAttr(key)
	}
}

// insert puts each new rule in front of the one that follows it in the generated order, so that an image that is added
// stands where it would stand in a new file.
func insert(f *rule.File, gen []*rule.Rule, standing map[string]*rule.Rule) {
	places := make([]int, len(gen))
	next := len(f.File.Stmt)
	for i := len(gen) - 1; i >= 0; i-- {
		if old := standing[gen[i].Name()]; old != nil {
			next = old.Index()
		}
		places[i] = next
	}
	for i, g := range gen {
		if standing[g.Name()] == nil {
			g.InsertAt(f, places[i])
		}
	}
}

func keepsAttr(r *rule.Rule, key string) bool {
	return rule.ShouldKeep(&bzl.Ident{Comments: *r.AttrComments(key)})
}

// addLoads inserts the load statements that generated rules need below the comment a file starts with: Gazelle would
// put them above it.
func addLoads(f *rule.File, gen []*rule.Rule, loads []rule.LoadInfo) {
	at := 0
	for at < len(f.File.Stmt) && isPreamble(f.File.Stmt[at]) {
		at++
	}
	if at == 0 {
		return
	}
	loaded := map[string]bool{}
	for _, l := range f.Loads {
		loaded[l.Name()] = true
		for _, s := range l.Symbols() {
			loaded[s] = true
		}
	}
	for _, info := range loads {
		if loaded[info.Name] {
			continue
		}
		l := rule.NewLoad(info.Name)
		for _, g := range gen {
			if slices.Contains(info.Symbols, g.Kind()) && !loaded[g.Kind()] {
				l.Add(g.Kind())
			}
		}
		if !l.IsEmpty() {
			l.Insert(f, at)
		}
	}
}

func isPreamble(e bzl.Expr) bool {
	switch e.(type) {
	case *bzl.CommentBlock, *bzl.StringExpr:
		return true
	}
	return false
}
