package bazel

import (
	"fmt"
	"slices"

	"github.com/bazelbuild/bazel-gazelle/merger"
	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"
)

// NameConflictError reports an existing rule that has the name of a generated rule, but a different kind.
type NameConflictError struct {
	Path             string // relative to the workspace root
	Line             int
	Name, Kind, Want string
}

func (e *NameConflictError) Error() string {
	return fmt.Sprintf("%s:%d: generating %s %s: a %s of that name already exists", e.Path, e.Line, e.Want, e.Name, e.Kind)
}

// Hint returns how to fix the error.
func (e *NameConflictError) Hint() string { return "rename the rule or the image" }

// merge merges rules that prepare returned, as merger.MergeFile does, but finds existing rules in a map. MergeFile
// compares all pairs of rules, which takes minutes for the push rules of a thousand images. The tests of
// tools/bazel/gazelle compare the results of both.
func merge(f *rule.File, gen, empty []*rule.Rule, loads []rule.LoadInfo) {
	kinds, existing := Kinds(), byName(f)
	for _, e := range empty {
		old := existing[e.Name()]
		info := kinds[e.Kind()]
		rule.MergeRules(e, old, info.MergeableAttrs, f.Path)
		if old.IsEmpty(info) {
			old.Delete()
		}
	}
	for _, g := range gen {
		rule.MergeRules(g, existing[g.Name()], kinds[g.Kind()].MergeableAttrs, f.Path)
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

// prepare inserts new rules into f, and returns the rules that Gazelle must merge into existing ones or remove.
func prepare(f *rule.File, gen, empty []*rule.Rule, loads []rule.LoadInfo) (merging, removing []*rule.Rule, err error) {
	existing := byName(f)
	kinds := Kinds()
	for _, g := range gen {
		if old := existing[g.Name()]; old != nil && old.Kind() != g.Kind() && !isReplaced(old, g) {
			start, _ := f.File.Stmt[old.Index()].Span()
			return nil, nil, &NameConflictError{f.Path, start.Line, old.Name(), old.Kind(), g.Kind()}
		}
	}
	for _, g := range gen {
		if old := existing[g.Name()]; old != nil && old.Kind() != g.Kind() {
			old.Delete()
			f.Sync()
			delete(existing, g.Name())
		}
	}
	addLoads(f, gen, loads)
	insert(f, gen, existing)
	for i, r := range slices.Concat(gen, empty) {
		old := existing[r.Name()]
		if old == nil || old.ShouldKeep() {
			continue
		}
		if old.Attr("visibility") == nil {
			r.DelAttr("visibility") // it was removed by hand, or the package has a default
		}
		for _, key := range old.AttrKeys() {
			if kinds[r.Kind()].MergeableAttrs[key] && r.Attr(key) == nil && !keepsAttr(old, key) {
				removeUnkept(r, old, key)
			}
		}
		// Gazelle's Go extension would treat any go_binary as its own, and preserve linker flags as manual changes. It also
		// has information about alias.
		switch isNew := i < len(gen); {
		case (r.Kind() == binaryKind || r.Kind() == aliasKind) && isNew:
			rule.MergeRules(r, old, kinds[r.Kind()].MergeableAttrs, f.Path)
		case r.Kind() == binaryKind || r.Kind() == aliasKind:
			old.Delete()
		case isNew:
			merging = append(merging, r)
		default:
			removing = append(removing, r)
		}
	}
	return merging, removing, nil
}

// isReplaced reports whether a generated rule replaces one of another kind: earlier versions generated the rule that
// pushes all images in the package that now has an alias of it.
func isReplaced(old, g *rule.Rule) bool {
	return old.Kind() == pushKind && g.Kind() == aliasKind && !old.ShouldKeep() &&
		mergeExpr(nil, old.Attr("images")) == nil
}

// removeUnkept removes an attribute that is no longer generated, except for values marked `# keep`. Gazelle does so
// only for lists of strings.
func removeUnkept(r, old *rule.Rule, key string) {
	if kept := mergeExpr(nil, old.Attr(key)); kept != nil {
		r.SetAttr(key, value{kept})
	} else {
		old.DelAttr(key)
	}
}

// insert places each new rule before the rule that follows it in the generated order, so that an added image has the
// same position as in a new file.
func insert(f *rule.File, gen []*rule.Rule, existing map[string]*rule.Rule) {
	places := make([]int, len(gen))
	next := len(f.File.Stmt)
	for i := len(gen) - 1; i >= 0; i-- {
		if old := existing[gen[i].Name()]; old != nil {
			next = old.Index()
		}
		places[i] = next
	}
	for i, g := range gen {
		if existing[g.Name()] == nil {
			g.InsertAt(f, places[i])
		}
	}
}

func keepsAttr(r *rule.Rule, key string) bool {
	return rule.ShouldKeep(&bzl.Ident{Comments: *r.AttrComments(key)})
}

// addLoads inserts the load statements of generated rules below the comment at the top of the file. Gazelle would
// insert them above it.
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
