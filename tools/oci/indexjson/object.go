// Package indexjson edits image indexes, and the index.json of OCI layouts, as text. What an edit does not concern
// stays byte for byte as it was: fields that this program does not know, digests of other algorithms, white space.
package indexjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Object is a JSON object.
type Object struct {
	members []member
	tail    []byte // what follows the last value
}

type member struct {
	lead  []byte // what precedes the value: a brace or comma, white space, and the key
	key   string
	value json.RawMessage
}

// ParseObject reads an object. A key that is there twice is an error: programs do not agree on which value counts.
func ParseObject(raw []byte) (*Object, error) {
	if err := valid(raw); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	o := &Object{}
	var end int64
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		start := decoder.InputOffset() - int64(len(value))
		name, _ := key.(string) // the decoder accepts no other key
		if slices.ContainsFunc(o.members, func(m member) bool { return strings.EqualFold(m.key, name) }) {
			return nil, fmt.Errorf("it has the key %q twice", name)
		}
		o.members = append(o.members, member{slices.Clone(raw[end:start]), name, value})
		end = decoder.InputOffset()
	}
	o.tail = slices.Clone(raw[end:])
	return o, nil
}

// valid is json.Valid with the reason.
func valid(raw []byte) error {
	if json.Valid(raw) {
		return nil
	}
	var whatever any
	return json.Unmarshal(raw, &whatever)
}

// Keys lists the keys in their order.
func (o *Object) Keys() []string {
	keys := make([]string, len(o.members))
	for i, m := range o.members {
		keys[i] = m.key
	}
	return keys
}

// Get returns the value of a key as it is written, nil if there is none.
func (o *Object) Get(key string) json.RawMessage {
	if i := o.index(key); i >= 0 {
		return o.members[i].value
	}
	return nil
}

// Set gives a key a value, which is added at the end unless the key exists.
func (o *Object) Set(key string, value any) error {
	raw, err := marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if i := o.index(key); i >= 0 {
		o.members[i].value = raw
		return nil
	}
	name, err := marshal(key)
	if err != nil {
		return err
	}
	if len(o.members) == 0 {
		o.members = []member{{slices.Concat([]byte("{"), name, []byte(":")), key, raw}}
		o.tail = []byte("}")
		return nil
	}
	// As the last one is written: on a line of its own or not, with a space behind the colon or not.
	last := o.members[len(o.members)-1]
	before, after, _ := bytes.Cut(last.lead, mustMarshal(last.key))
	before = before[bytes.IndexAny(before, "{,")+1:]
	indent := ""
	if n := bytes.LastIndexByte(before, '\n'); n >= 0 {
		indent = string(before[n+1:])
	}
	o.members = append(o.members, member{
		slices.Concat([]byte(","), before, name, orColon(after)), key, indented(raw, indent),
	})
	return nil
}

// orColon returns the separator between a key and its value: after, or ":" if the key was escaped in the original.
func orColon(after []byte) []byte {
	if len(after) == 0 {
		return []byte(":")
	}
	return after
}

// Delete removes a key.
func (o *Object) Delete(key string) {
	i := o.index(key)
	if i < 0 {
		return
	}
	if i == 0 && len(o.members) > 1 {
		o.members[1].lead = append([]byte("{"), bytes.TrimLeft(o.members[1].lead, " \t\r\n,")...)
	}
	o.members = slices.Delete(o.members, i, i+1)
	if len(o.members) == 0 {
		o.tail = []byte("{}")
	}
}

// Bytes returns the object as text.
func (o *Object) Bytes() []byte {
	var text []byte
	for _, m := range o.members {
		text = append(append(text, m.lead...), m.value...)
	}
	return append(text, o.tail...)
}

func (o *Object) index(key string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.key == key })
}

// marshal is json.Marshal without the escapes for HTML, which text that is kept does not have either.
func marshal(value any) (json.RawMessage, error) {
	if raw, ok := value.(json.RawMessage); ok {
		return raw, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

func mustMarshal(text string) []byte {
	raw, _ := marshal(text) // a string can always be marshalled
	return raw
}

// indented is raw as it is written in a document whose lines there begin with indent; "" leaves it in one line.
func indented(raw json.RawMessage, indent string) json.RawMessage {
	if indent == "" {
		return raw
	}
	step := indent
	if len(step)%2 == 0 && strings.Trim(step, " ") == "" {
		step = "  "
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, indent, step); err != nil {
		return raw
	}
	return text.Bytes()
}
