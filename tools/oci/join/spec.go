package join

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Spec is the content of a file for `manifest-tool push from-spec`:
// https://github.com/estesp/manifest-tool#createpush.
type Spec struct {
	// Image is the reference of the index.
	Image string
	// Tags are additional tags of the index.
	Tags []string
	// Annotations are added to the index.
	Annotations map[string]string
	Manifests   []SpecEntry
}

// SpecEntry is an image to join.
type SpecEntry struct {
	Image    string
	Platform *v1.Platform // nil to use the image's own
}

// SpecError reports an error in a spec file with its position.
type SpecError struct {
	File         string
	Line, Column int
	Err          error
	hint         string
}

func (e *SpecError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err)
}

// Class classifies the error for the exit code.
func (e *SpecError) Class() fault.Class { return fault.Config }

func (e *SpecError) Unwrap() error { return e.Err }

// Hint returns the expected form.
func (e *SpecError) Hint() string { return e.hint }

// ParseSpec parses a spec file. It accepts keys of the platform in the format of manifest-tool (osversion) and of the
// image spec (os.version). The error is a *SpecError for the first mistake.
func ParseSpec(file string, content []byte) (*Spec, error) {
	r := specReader{file: file}
	var doc yaml.Node
	if err := yaml.Load(content, &doc, yaml.WithV4Defaults()); err != nil {
		at := &yaml.Node{}
		var place *yaml.LoadError
		if errors.As(err, &place) {
			at.Line, at.Column, err = place.Mark.Line, place.Mark.Column, errors.New(place.Message)
		}
		return nil, r.errorf(at, "the file must be one YAML document", "%w", err)
	}
	if len(doc.Content) == 0 {
		return nil, r.errorf(&doc, specForm, "the file is empty")
	}
	var s Spec
	root := doc.Content[0]
	r.mapping(root, map[string]func(*yaml.Node){
		"image":       func(n *yaml.Node) { s.Image = r.text(n) },
		"tags":        func(n *yaml.Node) { s.Tags = r.texts(n) },
		"annotations": func(n *yaml.Node) { s.Annotations = r.pairs(n) },
		"manifests": func(n *yaml.Node) {
			for _, item := range r.items(n) {
				s.Manifests = append(s.Manifests, r.entry(item))
			}
		},
	})
	switch {
	case r.err != nil:
		return nil, r.err
	case s.Image == "":
		return nil, r.errorf(root, specForm, "image is required: the reference of the index")
	case len(s.Manifests) == 0:
		return nil, r.errorf(root, specForm, "manifests is required: the images of the index")
	}
	return &s, nil
}

const specForm = "write: image: TARGET, then manifests: [{image: SOURCE, platform: {os: linux, architecture: arm64}}]"

// specReader keeps the first error.
type specReader struct {
	file string
	err  error
}

func (r *specReader) errorf(n *yaml.Node, hint, format string, args ...any) error {
	return &SpecError{r.file, max(1, n.Line), max(1, n.Column), fmt.Errorf(format, args...), hint}
}

func (r *specReader) fail(n *yaml.Node, hint, format string, args ...any) {
	if r.err == nil {
		r.err = r.errorf(n, hint, format, args...)
	}
}

func (r *specReader) entry(n *yaml.Node) SpecEntry {
	var e SpecEntry
	r.mapping(n, map[string]func(*yaml.Node){
		"image":    func(n *yaml.Node) { e.Image = r.text(n) },
		"platform": func(n *yaml.Node) { e.Platform = r.platform(n) },
	})
	if e.Image == "" {
		r.fail(n, specForm, "image is required")
	}
	return e
}

// platform reads the platform of a source. An empty mapping counts as missing.
func (r *specReader) platform(n *yaml.Node) *v1.Platform {
	var p v1.Platform
	version := func(n *yaml.Node) { p.OSVersion = r.text(n) }
	features := func(n *yaml.Node) { p.OSFeatures = r.texts(n) }
	r.mapping(n, map[string]func(*yaml.Node){
		"os":           func(n *yaml.Node) { p.OS = r.text(n) },
		"architecture": func(n *yaml.Node) { p.Architecture = r.text(n) },
		"variant":      func(n *yaml.Node) { p.Variant = r.text(n) },
		"osversion":    version, "os.version": version, "osfeatures": features, "os.features": features,
		"features": func(n *yaml.Node) { p.Features = r.texts(n) },
	})
	if r.err != nil || len(n.Content) == 0 {
		return nil
	}
	requested := arch.Requested(p.OS, p.Architecture, p.Variant)
	p.OS, p.Architecture, p.Variant = requested.OS, requested.Architecture, requested.Variant
	if _, err := ParsePlatform(requested.String()); err != nil {
		r.fail(n, suggest.Hint(canonical(&p).String(), arch.Names()), "unknown platform %q", canonical(&p))
	}
	return &p
}

func (r *specReader) mapping(n *yaml.Node, keys map[string]func(*yaml.Node)) {
	r.each(n, func(key, value *yaml.Node) {
		read, ok := keys[key.Value]
		if !ok {
			known := slices.Sorted(maps.Keys(keys))
			r.fail(key, suggest.Hint(key.Value, known), "unknown key %q", key.Value)
			return
		}
		read(value)
	})
}

// pairs reads a mapping of strings to strings.
func (r *specReader) pairs(n *yaml.Node) map[string]string {
	all := map[string]string{}
	r.each(n, func(key, value *yaml.Node) { all[r.text(key)] = r.text(value) })
	return all
}

// each calls read for every entry of a mapping. A duplicate key is an error.
func (r *specReader) each(n *yaml.Node, read func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, specForm, "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			r.fail(key, "", "duplicate key %q", key.Value)
			continue
		}
		seen[key.Value] = true
		read(key, value)
	}
}

func (r *specReader) items(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "", "must be a list")
		return nil
	}
	return n.Content
}

func (r *specReader) texts(n *yaml.Node) []string {
	var all []string
	for _, item := range r.items(n) {
		all = append(all, r.text(item))
	}
	return all
}

// text returns a scalar as it is written: 1.10 is a tag, not a number. An empty value is "".
func (r *specReader) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		r.fail(n, "", "must be a string")
		return ""
	}
	if n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}
