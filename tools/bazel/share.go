package bazel

import (
	"reflect"
	"slices"

	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// attributes are arguments of multiarch_image: a string, a list of strings, a dictionary of strings, a healthcheck, or true.
type attributes map[string]any

// share finds what to say once for all platforms: the value that most of them have, provided that none is without one
// (an override can say something else, but not nothing). What differs from it is returned by platform. Dictionaries
// are shared key by key, since overrides are merged into them so, and files as far as all begin with the same.
func share(children []attributes) (common attributes, overrides []attributes) {
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
			shareDict(k, values, common, overrides)
			continue
		case k == "files":
			shareFiles(values, common, overrides)
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

// shareFiles shares the files that all platforms begin with: overrides add to them.
func shareFiles(values []any, common attributes, overrides []attributes) {
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

func shareDict(name string, values []any, common attributes, overrides []attributes) {
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

// mostFrequent returns nil where one of the values is nil; the first on a tie.
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

// expr converts an attribute.
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

// overridesOf is the argument overrides, in the order of the platforms.
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
