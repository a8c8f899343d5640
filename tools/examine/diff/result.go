package diff

import (
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/examine/internal/display"
	"github.com/multiarch-build/multiarch/tools/oci/blob"
)

// Result explains why two digests differ.
type Result struct {
	A Side `json:"a"`
	B Side `json:"b"`
	// Index lists the differences of the indexes, without their children.
	Index []Change `json:"index,omitempty"`
	// Notes are differences outside of fields, such as the order of children.
	Notes []string `json:"notes,omitempty"`
	// OnlyA and OnlyB name the children that only one side has.
	OnlyA []string `json:"onlyA,omitempty"`
	OnlyB []string `json:"onlyB,omitempty"`
	// Children are the differences of the children that both sides have, in the order of A.
	Children []Child `json:"children,omitempty"`
}

// Side is one of the two compared images.
type Side struct {
	Name      string          `json:"name"`
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
}

// Change is a field that differs. A and B are JSON, or "" if a side does not have the field.
type Change struct {
	Field string `json:"field"`
	A     string `json:"a,omitempty"`
	B     string `json:"b,omitempty"`
}

// Child is the difference of a platform.
type Child struct {
	// Child is the platform or another name of the child.
	Child string  `json:"child"`
	A     v1.Hash `json:"a"`
	B     v1.Hash `json:"b"`
	// Descriptor lists the differences of the index entries, Manifest and Config those of the documents without their
	// layers.
	Descriptor []Change `json:"descriptor,omitempty"`
	Manifest   []Change `json:"manifest,omitempty"`
	Config     []Change `json:"config,omitempty"`
	Layers     []Layer  `json:"layers,omitempty"`
	Notes      []string `json:"notes,omitempty"`
}

// Kind is the kind of a difference.
type Kind string

const (
	// Added is in B only, Removed in A only, and Changed in both.
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
	// Moved is a layer that has another position among the same layers.
	Moved Kind = "moved"
	// Recompressed is a layer with the same content (diffID) but other bytes.
	Recompressed Kind = "recompressed"
)

// Layer is a layer that differs.
type Layer struct {
	Kind Kind `json:"kind"`
	// A and B describe the layer on each side, nil if the side does not have it.
	A *LayerInfo `json:"a,omitempty"`
	B *LayerInfo `json:"b,omitempty"`
	// Files are the files that differ, sorted by path, if the layer is Changed.
	Files []File `json:"files,omitempty"`
	// Note explains why a Changed layer differs if no file does.
	Note string `json:"note,omitempty"`
}

// LayerInfo is a layer of an image. Layer counts from one.
type LayerInfo struct {
	Layer     int             `json:"layer"`
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
	DiffID    v1.Hash         `json:"diffID,omitzero"`
	Size      int64           `json:"size"`
}

// File is a file that differs. The fields are type, size, mode, owner, content (its SHA-256), mtime, link, device and
// extended.
type File struct {
	Path   string   `json:"path"`
	Kind   Kind     `json:"kind"`
	Fields []Change `json:"fields,omitempty"`
}

// Empty reports whether the digests are equal.
func (d *Result) Empty() bool { return d.A.Digest == d.B.Digest }

// String formats d as text, "" if nothing differs.
func (d *Result) String() string {
	var b strings.Builder
	_, _ = d.WriteTo(&b)
	return b.String()
}

// WriteTo writes d as text, nothing if nothing differs.
func (d *Result) WriteTo(w io.Writer) (int64, error) {
	if d.Empty() {
		return 0, nil
	}
	t := &textWriter{}
	t.line(0, "--- %s %s", d.A.Name, d.A.Digest)
	t.line(0, "+++ %s %s", d.B.Name, d.B.Digest)
	t.changes(0, "index", d.Index)
	t.notes(0, d.Notes)
	for _, name := range d.OnlyA {
		t.line(0, "- %s", name)
	}
	for _, name := range d.OnlyB {
		t.line(0, "+ %s", name)
	}
	for _, c := range d.Children {
		if c.A == c.B {
			t.line(0, "%s: only its entry in the index differs", c.Child)
		} else {
			t.line(0, "%s: %s -> %s", c.Child, c.A, c.B)
		}
		t.changes(1, "entry", c.Descriptor)
		t.changes(1, "manifest", c.Manifest)
		t.changes(1, "config", c.Config)
		for _, l := range c.Layers {
			t.layer(l)
		}
		t.notes(1, c.Notes)
	}
	n, err := io.WriteString(w, t.String())
	return int64(n), err
}

// textWriter writes indented lines.
type textWriter struct{ strings.Builder }

func (t *textWriter) line(depth int, format string, args ...any) {
	t.WriteString(strings.Repeat("  ", depth) + display.OneLine(fmt.Sprintf(format, args...)) + "\n")
}

func (t *textWriter) notes(depth int, notes []string) {
	for _, n := range notes {
		t.line(depth, "%s", n)
	}
}

func (t *textWriter) changes(depth int, title string, changes []Change) {
	if len(changes) == 0 {
		return
	}
	t.line(depth, "%s:", title)
	for _, c := range changes {
		t.line(depth+1, "%s", c)
	}
}

// String formats c on one line.
func (c Change) String() string {
	switch {
	case c.A == "":
		return fmt.Sprintf("+ %s: %s", c.Field, c.B)
	case c.B == "":
		return fmt.Sprintf("- %s: %s", c.Field, c.A)
	}
	return fmt.Sprintf("~ %s: %s -> %s", c.Field, c.A, c.B)
}

func (t *textWriter) layer(l Layer) {
	switch {
	case l.A == nil:
		t.line(1, "layer %d added: %s", l.B.Layer, l.B)
	case l.B == nil:
		t.line(1, "layer %d removed: %s", l.A.Layer, l.A)
	case l.A.Layer != l.B.Layer:
		t.line(1, "layer %d %s to %d: %s -> %s", l.A.Layer, l.Kind, l.B.Layer, l.A, l.B)
	default:
		t.line(1, "layer %d %s: %s -> %s", l.A.Layer, l.Kind, l.A, l.B)
	}
	for _, f := range l.Files {
		sign := map[Kind]string{Added: "+", Removed: "-", Changed: "~"}[f.Kind]
		var fields []string
		for _, c := range f.Fields {
			fields = append(fields, fmt.Sprintf("%s %s -> %s", c.Field, orNone(c.A), orNone(c.B)))
		}
		if len(fields) == 0 {
			t.line(2, "%s %s", sign, f.Path)
		} else {
			t.line(2, "%s %s: %s", sign, f.Path, strings.Join(fields, ", "))
		}
	}
	if l.Note != "" {
		t.line(2, "%s", l.Note)
	}
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// String formats l on one line.
func (l *LayerInfo) String() string {
	c, _ := blob.CompressionOf(l.MediaType)
	return fmt.Sprintf("%s (%s, %s)", l.Digest, display.Size(l.Size), c)
}
