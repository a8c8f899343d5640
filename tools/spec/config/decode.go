package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// maxSize limits the size of a configuration. A thousand images take about a megabyte.
const maxSize = 32 << 20

// Parse parses a multiarch.yaml. The file name is only used in positions. If anything is invalid,
// the Config is nil and the error is of type Errors.
func Parse(file string, content []byte) (*Config, error) {
	r := &reader{source: source{file: file}, types: map[reflect.Type]fields{}}
	c := &Config{}
	if root := r.load(content); root != nil {
		r.root = root
		r.decode(root, nil, reflect.ValueOf(c).Elem())
	}
	c.source = r.source
	if r.root != nil {
		unread := r.errs
		r.check(c)
		r.errs = append(unread, notBecauseOf(unread, r.errs[len(unread):])...)
	}
	if len(r.errs) > 0 {
		return nil, r.errs.Sorted()
	}
	return c, nil
}

// source is the parsed file behind a Config. It locates every value.
type source struct {
	file string
	root *yaml.Node
}

// reader decodes one file and collects errors.
type reader struct {
	source
	errs  Errors
	types map[reflect.Type]fields // caches fieldsOf: large files have few types and many mappings
}

func (r *reader) load(content []byte) *yaml.Node {
	top := Position{r.file, 1, 1}
	if len(content) > maxSize {
		r.errs = append(r.errs, &Error{Position: top, Err: fmt.Errorf("file is larger than %d MiB", maxSize>>20)})
		return nil
	}
	var doc yaml.Node
	if err := yaml.Load(content, &doc, yaml.WithV4Defaults()); err != nil {
		var at *yaml.LoadError
		if errors.As(err, &at) {
			top.Line, top.Column = max(1, at.Mark.Line), max(1, at.Mark.Column)
			err = errors.New(at.Message)
		}
		r.errs = append(
			r.errs,
			&Error{Position: top, Err: err, hint: "write a single YAML document; multiarch init generates one"},
		)
		return nil
	}
	if len(doc.Content) == 0 {
		r.errs = append(
			r.errs,
			&Error{Position: top, Err: errors.New("the file is empty"), hint: "run multiarch init to generate one"},
		)
		return nil
	}
	return doc.Content[0]
}

// failAt records an error in the value at path, positioned at node n.
func (r *reader) failAt(n *yaml.Node, path Path, err error) {
	place := Position{r.file, max(1, n.Line), max(1, n.Column)}
	r.errs = append(r.errs, &Error{Position: place, Path: path.String(), Err: err, hint: hintOf(err)})
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// decode stores node n, the value at path, in v. If the node does not fit, decode records an error
// and leaves v unchanged.
func (r *reader) decode(n *yaml.Node, path Path, v reflect.Value) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.failAt(n, path, hinted(errors.New("YAML aliases are not supported"), "repeat the value, or use overrides:"))
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		r.failAt(n, path, hinted(errors.New("value is empty"), "write "+shape(v.Type())+", or remove the key"))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.decode(n, path, v.Elem())
	case n.Kind == yaml.ScalarNode && IsTemplate(n.Value) && !takesTemplates(v.Type()):
		r.refuseTemplate(n, path)
	case v.Addr().Type().Implements(textUnmarshaler):
		if r.is(n, yaml.ScalarNode, path, v) {
			if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)); err != nil {
				r.failAt(n, path, err)
			}
		}
	case v.Type() == reflect.TypeFor[BaseChoice]():
		r.decodeBaseChoice(n, path, v)
	case v.Type() == reflect.TypeFor[FromChoice]():
		r.decodeFrom(n, path, v)
	case v.Type() == reflect.TypeFor[Repositories]():
		r.decodeRepositories(n, path, v)
	case v.Type() == reflect.TypeFor[Immutable]():
		r.decodeImmutable(n, path, v)
	case v.Type() == reflect.TypeFor[HealthTest]():
		r.decodeHealthTest(n, path, v)
	case v.Kind() == reflect.Struct:
		if r.is(n, yaml.MappingNode, path, v) {
			r.decodeStruct(n, path, v)
		}
	case v.Kind() == reflect.Map:
		if r.is(n, yaml.MappingNode, path, v) {
			r.decodeMap(n, path, v)
		}
	case v.Kind() == reflect.Slice:
		if r.is(n, yaml.SequenceNode, path, v) {
			v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
			for i, item := range n.Content {
				r.decode(item, path.to(i), v.Index(i))
			}
		}
	default:
		if r.is(n, yaml.ScalarNode, path, v) {
			r.decodeScalar(n, path, v)
		}
	}
}

// takesTemplates reports whether templates in values of type t are expanded.
func takesTemplates(t reflect.Type) bool {
	return t == reflect.TypeFor[Template]() || t == reflect.TypeFor[PlatformTemplate]() ||
		t == reflect.TypeFor[ValueTemplate]()
}

func (r *reader) decodeScalar(n *yaml.Node, path Path, v reflect.Value) {
	var err error
	switch v.Kind() {
	case reflect.Bool:
		var b bool
		if err = n.Decode(&b); err == nil && n.ShortTag() == "!!bool" {
			v.SetBool(b)
			return
		}
	case reflect.Int:
		var i int64
		if i, err = strconv.ParseInt(n.Value, 10, 32); err == nil && n.ShortTag() == "!!int" {
			v.SetInt(i)
			return
		}
	default:
		if n.ShortTag() == "!!str" {
			v.SetString(n.Value)
			return
		}
	}
	r.failAt(n, path, fmt.Errorf("must be %s, not %q", shape(v.Type()), n.Value))
}

// decodeStruct reads a mapping with a fixed set of keys.
func (r *reader) decodeStruct(n *yaml.Node, path Path, v reflect.Value) {
	fields, ok := r.types[v.Type()]
	if !ok {
		fields = fieldsOf(v.Type())
		r.types[v.Type()] = fields
	}
	given := map[string]bool{}
	r.pairs(n, path, func(key, value *yaml.Node) {
		f, ok := fields.byName[key.Value]
		if !ok {
			r.failAt(key, path.to(key.Value), hinted(errors.New("unknown key"), unknownKeyHint(v.Type(), key.Value,
				fields.names)))
			return
		}
		given[key.Value] = true
		r.decode(value, path.to(key.Value), v.FieldByIndex(f.index))
	})
	for _, name := range fields.names {
		if fields.byName[name].required && !given[name] {
			r.failAt(r.keyOf(n, path), path.to(name), hinted(errors.New("is required"),
				"add it with "+shape(v.FieldByIndex(fields.byName[name].index).Type())))
		}
	}
}

// unknownKeyHint suggests a key to use instead: the equivalent of another tool's key, or a similar
// one.
func unknownKeyHint(t reflect.Type, key string, known []string) string {
	hint := suggest.Hint(key, known)
	if foreign := foreignHint(t, key); foreign != "" {
		hint = foreign + "; known: " + strings.Join(known, ", ")
	}
	return hint
}

// decodeMap reads a mapping with user-defined keys.
func (r *reader) decodeMap(n *yaml.Node, path Path, v reflect.Value) {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	r.pairs(n, path, func(key, value *yaml.Node) {
		at := path.to(key.Value)
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		before := len(r.errs)
		if IsTemplate(key.Value) {
			r.refuseTemplate(key, at)
		}
		if k.Kind() == reflect.String && !k.Addr().Type().Implements(textUnmarshaler) {
			k.SetString(key.Value)
		} else if err := k.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(key.Value)); err != nil {
			r.failAt(key, at, err)
		}
		if len(r.errs) == before && v.MapIndex(k).IsValid() {
			r.failAt(key, at, fmt.Errorf("duplicate key: same platform as an earlier key, %v", k.Interface()))
		}
		r.decode(value, at, e)
		v.SetMapIndex(k, e)
	})
}

// pairs calls visit for each valid key-value pair of a mapping.
func (r *reader) pairs(n *yaml.Node, path Path, visit func(key, value *yaml.Node)) {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.failAt(key, path, errors.New("keys must be strings"))
		case key.Value == "<<":
			r.failAt(key, path.to("<<"), hinted(errors.New("merge keys are not supported"),
				"repeat the values, or use overrides:"))
		case first[key.Value] != nil:
			r.failAt(key, path.to(key.Value), fmt.Errorf("duplicate key, first on line %d", first[key.Value].Line))
			r.errs[len(r.errs)-1].key = true
		default:
			first[key.Value] = key
			visit(key, value)
		}
	}
}

// is reports whether n is of the given kind, and records an error if it is not.
func (r *reader) is(n *yaml.Node, kind yaml.Kind, path Path, v reflect.Value) bool {
	if n.Kind == kind {
		return true
	}
	got := map[yaml.Kind]string{
		yaml.ScalarNode:   strconv.Quote(n.Value),
		yaml.SequenceNode: "a list",
		yaml.MappingNode:  "a mapping",
	}[n.Kind]
	r.failAt(n, path, fmt.Errorf("must be %s, not %s", shape(v.Type()), got))
	return false
}

// shape describes the values of a type in error messages.
func shape(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return shape(t.Elem())
	case reflect.PointerTo(t).Implements(textUnmarshaler), t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a number"
	case t.Kind() == reflect.Slice:
		return "a list, such as [" + strings.TrimPrefix(shape(t.Elem()), "a ") + "]"
	case t.Kind() == reflect.Map:
		return "a mapping"
	}
	return "a mapping with the keys " + strings.Join(fieldsOf(t).names, ", ")
}

// fields are the keys of a struct, in declaration order.
type fields struct {
	names  []string
	byName map[string]field
}

type field struct {
	index    []int
	required bool
}

// fieldsOf returns the keys of a struct type.
func fieldsOf(t reflect.Type) fields {
	fs := fields{byName: map[string]field{}}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || !f.IsExported() {
			continue
		}
		fs.names = append(fs.names, name)
		fs.byName[name] = field{f.Index, options != "omitempty"}
	}
	return fs
}
