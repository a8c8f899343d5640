package indexjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// manifests is the key of the entries.
const manifests = "manifests"

// Index is an image index.
type Index struct {
	*Object
	Entries []Entry

	parsed    int    // how many entries it had
	separator []byte // white space before the first of them
	end       []byte // white space after the last one
}

// Entry is an entry of an index.
type Entry struct {
	Raw json.RawMessage
	// Digest is the digest as it is written, "" if there is none.
	Digest string
	// Descriptor is Raw as far as go-containerregistry knows it. Err is why it cannot be understood, and Descriptor then
	// has the annotations at most.
	Descriptor v1.Descriptor
	Err        error

	lead  []byte // the comma and white space before it
	fresh bool   // made here
}

// Parse reads an image index.
func Parse(raw []byte) (*Index, error) {
	o, err := ParseObject(raw)
	if err != nil {
		return nil, err
	}
	for _, key := range o.Keys() {
		if key != manifests && strings.EqualFold(key, manifests) {
			return nil, fmt.Errorf("it has the key %q, which some programs read as %q", key, manifests)
		}
	}
	i := &Index{Object: o}
	list := o.Get(manifests)
	if list == nil || string(list) == "null" {
		return i, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(list))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return nil, errors.New("manifests is not an array")
	}
	end := decoder.InputOffset()
	for decoder.More() {
		var entry json.RawMessage
		if err := decoder.Decode(&entry); err != nil {
			return nil, err
		}
		if len(entry) == 0 || entry[0] != '{' {
			return nil, fmt.Errorf("manifests[%d] is not an object", len(i.Entries))
		}
		e := ParseEntry(entry)
		if e.lead = list[end : decoder.InputOffset()-int64(len(entry))]; len(i.Entries) == 0 {
			i.separator = e.lead
		}
		i.Entries = append(i.Entries, e)
		end = decoder.InputOffset()
	}
	i.parsed = len(i.Entries)
	i.end = bytes.Clone(list[end : len(list)-1])
	return i, nil
}

// ParseEntry reads an entry.
func ParseEntry(raw json.RawMessage) Entry {
	e := Entry{Raw: raw}
	var known struct {
		Digest      string            `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &e.Descriptor); err != nil {
		e.Err = err
		_ = json.Unmarshal(raw, &known) // as far as possible
		e.Digest, e.Descriptor = known.Digest, v1.Descriptor{Annotations: known.Annotations}
		return e
	}
	e.Digest = e.Descriptor.Digest.String()
	return e
}

// NewEntry makes an entry of a descriptor.
func NewEntry(d v1.Descriptor) (Entry, error) {
	raw, err := marshal(d)
	if err != nil {
		return Entry{}, fmt.Errorf("describing %s: %w", d.Digest, err)
	}
	return Entry{Raw: raw, Digest: d.Digest.String(), Descriptor: d, fresh: true}, nil
}

// With returns the entry with another value of a field.
func (e Entry) With(key string, value any) (Entry, error) {
	o, err := ParseObject(e.Raw)
	if err != nil {
		return e, err
	}
	if err := o.Set(key, value); err != nil {
		return e, err
	}
	changed := ParseEntry(o.Bytes())
	changed.lead, changed.fresh = e.lead, e.fresh
	return changed, nil
}

// Bytes returns the index as text. New entries are written as its own are.
func (i *Index) Bytes() []byte {
	if len(i.Entries) == 0 {
		if string(i.Get(manifests)) != "null" && i.Get(manifests) != nil && i.parsed > 0 {
			_ = i.Set(manifests, json.RawMessage("[]")) // text is taken as it is
		}
		return i.Object.Bytes()
	}
	indent := ""
	if n := bytes.LastIndexByte(i.separator, '\n'); n >= 0 {
		indent = string(i.separator[n+1:])
	}
	list := []byte("[")
	for n, e := range i.Entries {
		raw := e.Raw
		if e.fresh {
			raw = indented(raw, indent)
		}
		switch {
		case n == 0:
			list = append(list, i.separator...)
		case bytes.ContainsRune(e.lead, ','):
			list = append(list, e.lead...)
		default:
			list = append(append(list, ','), i.separator...)
		}
		list = append(list, raw...)
	}
	list = append(append(list, i.end...), ']')
	_ = i.Set(manifests, json.RawMessage(list))
	return i.Object.Bytes()
}
