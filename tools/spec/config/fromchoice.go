package config

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// FromChoice are the existing images that an image joins: one for each platform, or a list of images and indexes that say
// themselves which platforms they are for. At most one of the two is set.
type FromChoice struct {
	ByPlatform map[arch.Platform]Text
	List       []Text
}

// IsZero tells whether nothing was given.
func (f FromChoice) IsZero() bool { return f.ByPlatform == nil && f.List == nil }

// decodeFrom reads a mapping or a list of references.
func (r *reader) decodeFrom(n *yaml.Node, path Path, v reflect.Value) {
	field := "ByPlatform"
	if n.Kind == yaml.SequenceNode {
		field = "List"
	}
	r.decode(n, path, v.FieldByName(field))
	if n.Kind != yaml.ScalarNode && len(n.Content) == 0 {
		r.failAt(n, path, hinted(errors.New("names no image"), "give {PLATFORM: REFERENCE}, or [REFERENCE]"))
	}
}

// checkFrom records what is wrong with an image that joins existing ones.
func (r *reader) checkFrom(c *Config, at Path, i Image) {
	from := at.to("from")
	for _, p := range slices.SortedFunc(maps.Keys(i.From.ByPlatform), byTable) {
		r.checkSource(c, from.to(p.String()), string(i.From.ByPlatform[p]))
	}
	first := map[Text]int{}
	for n, ref := range i.From.List {
		r.checkSource(c, from.to(n), string(ref))
		if m, ok := first[ref]; ok {
			r.fail(from.to(n), "", "duplicate image: %s is in %s already", ref, from.to(m))
			continue
		}
		first[ref] = n
	}
	if i.From.ByPlatform != nil && i.Platforms != nil {
		r.fail(at.to("platforms"), "remove it", "the keys of from are the platforms")
	}
	const as = "existing images are joined as they are: remove it, or from"
	settings := reflect.ValueOf(i.Settings)
	fields := fieldsOf(settings.Type())
	for _, key := range fields.names {
		// Annotations are those of the index; allow changes nothing in the images.
		if key != "annotations" && key != "allow" && !settings.FieldByIndex(fields.byName[key].index).IsZero() {
			r.fail(at.to(key), as, "cannot stand beside from")
		}
	}
	if i.Bazel != "" {
		r.fail(at.to("bazel"), as, "cannot stand beside from")
	}
	if i.Overrides != nil {
		r.fail(at.to("overrides"), as, "cannot stand beside from")
	}
	if i.Push != nil && i.Push.PerPlatform != "" {
		r.fail(at.to("push", "per_platform"), "remove it", "the images have names of their own: those in from")
	}
}

func (r *reader) checkSource(c *Config, at Path, ref string) {
	registry := ""
	if c.Registry != "" {
		registry = "registry.example.com" // what is wrong with the real one has been said
	}
	switch hint := referenceHint(c.Reference(ref, registry)); {
	case hint == "":
	case alone(ref):
		r.fail(at, hint, "%q is not an image reference", reference.Redact(ref))
	default:
		r.fail(at, "write it as repository:tag or repository@sha256:digest, below registry: or with a registry of its own", "%q is not an image reference", reference.Redact(ref))
	}
}

// Reference returns a reference of from in full where a registry is known, as Repository does.
func (c *Config) Reference(ref, registry string) string {
	if alone(ref) || registry == "" {
		return ref
	}
	return registry + "/" + ref
}
