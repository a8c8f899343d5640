package bazel

import (
	"reflect"
	"slices"

	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// attributes are arguments of multiarch_image: strings, lists and dictionaries of strings, healthchecks, or true.
type attributes map[string]any

// splitOverrides splits the attributes of all platforms into common values and overrides. The common value is the most
// frequent one, provided that every platform has a value, because an override cannot unset an attribute. Dictionaries
// are split key by key, as overrides are merged; for files, the common value is the common prefix.
func splitOverrides(children []attributes) (common attributes, overrides []attributes) {
	common, overrides = attributes{}, make([]attributes, len(children))
	keys := map[string]bool{}
	for i, c := range children {
		overrides[i] = attributes{}
		for k := range c {
			keys[k] = true
		}
	}
	for k := range keys {
		values := make([]any, len(children))
		isDict := false
		for i, c := range children {
			values[i] = c[k]
			_, one := c[k].(map[string]string)
			isDict = isDict || one
		}
		switch {
		case isDict:
			splitDict(k, values, common, overrides)
			continue
		case k == "files":
			splitFiles(values, common, overrides)
			continue
		}
		most := mostFrequent(values)
		if most != nil {
			common[k] = most
		}
		for i, v := range values {
			if v != nil && !reflect.DeepEqual(v, most) {
				overrides[i][k] = v
			}
		}
	}
	return common, overrides
}

// splitFiles makes the common prefix of all file lists common. Overrides are appended to it.
func splitFiles(values []any, common attributes, overrides []attributes) {
	shared, _ := values[0].([]string)
	for _, v := range values[1:] {
		files, _ := v.([]string)
		n := 0
		for n < min(len(shared), len(files)) && shared[n] == files[n] {
			n++
		}
		shared = shared[:n]
	}
	if len(shared) > 0 {
		common["files"] = shared
	}
	for i, v := range values {
		if files, _ := v.([]string); len(files) > len(shared) {
			overrides[i]["files"] = files[len(shared):]
		}
	}
}

func splitDict(name string, values []any, common attributes, overrides []attributes) {
	keys := map[string]bool{}
	for _, v := range values {
		d, _ := v.(map[string]string)
		for k := range d {
			keys[k] = true
		}
	}
	top := map[string]string{}
	for k := range keys {
		entries := make([]any, len(values))
		for i, v := range values {
			d, _ := v.(map[string]string)
			if s, ok := d[k]; ok {
				entries[i] = s
			}
		}
		most, shared := mostFrequent(entries).(string)
		if shared {
			top[k] = most
		}
		for i, e := range entries {
			s, ok := e.(string)
			if !ok || shared && s == most {
				continue
			}
			over, _ := overrides[i][name].(map[string]string)
			if over == nil {
				over = map[string]string{}
				overrides[i][name] = over
			}
			over[k] = s
		}
	}
	if len(top) > 0 {
		common[name] = top
	}
}

// mostFrequent returns the most frequent value, the first one on a tie, or nil if any value is nil.
func mostFrequent(values []any) any {
	if len(values) == 0 || slices.Contains(values, nil) {
		return nil
	}
	best, most := values[0], 0
	for i, v := range values {
		n := 0
		for _, w := range values[i:] {
			if reflect.DeepEqual(v, w) {
				n++
			}
		}
		if n > most {
			best, most = v, n
		}
		if most >= len(values)-i {
			break
		}
	}
	return best
}

// expr converts an attribute to Starlark.
func expr(v any) bzl.Expr {
	switch v := v.(type) {
	case []string:
		return list(v...).expr
	case map[string]string:
		return texts(v).expr
	case string:
		return text(v)
	case healthcheck:
		return v.expr()
	case bool:
		if v {
			return &bzl.Ident{Name: "True"}
		}
		return &bzl.Ident{Name: "False"}
	}
	return nil
}

// overridesOf returns the argument overrides, in the order of the platforms.
func overridesOf(children []plan.Child, overrides []attributes) (value, bool) {
	all, order := map[string]attributes{}, []string(nil)
	for i, o := range overrides {
		if len(o) > 0 {
			p := children[i].Platform.String()
			all[p] = o
			order = append(order, p)
		}
	}
	v := dict(all, order, func(o attributes) bzl.Expr { return dict(o, nil, expr).expr })
	v.expr.(*bzl.DictExpr).ForceMultiLine = true
	return v, len(all) > 0
}
