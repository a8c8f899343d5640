package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// compareJSON returns the fields in which two JSON documents differ, sorted by name. It compares the fields of objects
// (config.User), the elements of lists of objects (history[2].comment), and each environment variable
// (config.Env[PATH]). It skips the fields in without.
func compareJSON(a, b []byte, without ...string) ([]Change, error) {
	x, err := flatten(a, without)
	if err != nil {
		return nil, err
	}
	y, err := flatten(b, without)
	if err != nil {
		return nil, err
	}
	names := maps.Clone(x)
	maps.Copy(names, y)
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if x[name] != y[name] {
			changes = append(changes, Change{name, x[name], y[name]})
		}
	}
	return changes, nil
}

// compareDescriptors compares descriptors except for digest and size.
func compareDescriptors(a, b v1.Descriptor) ([]Change, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	y, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	return compareJSON(x, y, "digest", "size")
}

func flatten(raw []byte, without []string) (map[string]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	f := flattener{found: map[string]string{}, without: without}
	f.add("", document)
	return f.found, nil
}

type flattener struct {
	found   map[string]string
	without []string
}

func (f *flattener) add(name string, value any) {
	if slices.Contains(f.without, name) {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if name == "" {
				f.add(key, inner)
			} else {
				f.add(name+"."+key, inner)
			}
		}
		if len(v) > 0 {
			return
		}
	case []any:
		if name == "config.Env" && f.addVariables(v) {
			return
		}
		if slices.ContainsFunc(v, func(e any) bool { _, ok := e.(map[string]any); return ok }) {
			for i, inner := range v {
				f.add(fmt.Sprintf("%s[%d]", name, i), inner)
			}
			return
		}
	}
	f.found[name] = toJSON(value)
}

// addVariables adds the variables of an environment. It returns false if an element is not NAME=value.
func (f *flattener) addVariables(list []any) bool {
	for _, e := range list {
		if s, ok := e.(string); !ok || !strings.Contains(s, "=") {
			return false
		}
	}
	for _, e := range list {
		name, value, _ := strings.Cut(e.(string), "=")
		f.found["config.Env["+name+"]"] = toJSON(value)
	}
	return true
}

// toJSON returns a value as JSON without HTML escapes.
func toJSON(v any) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(out.String(), "\n")
}
