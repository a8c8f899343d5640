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

// FromChoice lists the existing images that an image joins: one per platform, or a list of images
// and indexes that declare their own platforms. At most one of the fields is set.
type FromChoice struct {
	ByPlatform map[arch.Platform]Text
	List       []Text
}

// IsZero reports whether no base is set.
func (f FromChoice) IsZero() bool { return f.ByPlatform == nil && f.List == nil }

// decodeFrom reads a mapping or a list of references.
func (r *reader) decodeFrom(n *yaml.Node, path Path, v reflect.Value) {
	field := "ByPlatform"
	if n.Kind == yaml.SequenceNode {
		field = "List"
	}
	r.decode(n, path, v.FieldByName(field))
	if n.Kind != yaml.ScalarNode && len(n.Content) == 0 {
		r.failAt(n, path, hinted(errors.New("no image given"), "write {PLATFORM: REFERENCE}, or [REFERENCE]"))
	}
}

// checkFrom validates an image that joins existing images.
func (r *reader) checkFrom(c *Config, at Path, i Image) {
	from := at.to("from")
	for _, p := range slices.SortedFunc(maps.Keys(i.From.ByPlatform), byTable) {
		r.checkSource(c, from.to(p.String()), string(i.From.ByPlatform[p]))
	}
	first := map[Text]int{}
	for n, ref := range i.From.List {
		r.checkSource(c, from.to(n), string(ref))
		if m, ok := first[ref]; ok {
			r.fail(from.to(n), "", "duplicate image: %s is already listed in %s", ref, from.to(m))
			continue
		}
		first[ref] = n
	}
	if i.From.ByPlatform != nil && i.Platforms != nil {
		r.fail(at.to("platforms"), "remove it", "from: already determines the platforms")
	}
	const as = "remove it or from:; existing images are joined unchanged"
	settings := reflect.ValueOf(i.Settings)
	fields := fieldsOf(settings.Type())
	for _, key := range fields.names {
		// Annotations apply to the index; allow does not change the images.
		if key != "annotations" && key != "allow" && !settings.FieldByIndex(fields.byName[key].index).IsZero() {
			r.fail(at.to(key), as, "cannot be combined with from")
		}
	}
	if i.Bazel != "" {
		r.fail(at.to("bazel"), as, "cannot be combined with from")
	}
	if i.Overrides != nil {
		r.fail(at.to("overrides"), as, "cannot be combined with from")
	}
	if i.Push != nil && i.Push.PerPlatform != "" {
		r.fail(at.to("push", "per_platform"), "remove it",
			"cannot be combined with from, whose images already have names")
	}
}

func (r *reader) checkSource(c *Config, at Path, ref string) {
	registry := ""
	if c.Registry != "" {
		registry = "registry.example.com" // an invalid registry has already been reported
	}
	switch hint := referenceHint(c.Reference(ref, registry)); {
	case hint == "":
	case hasRegistry(ref):
		r.fail(at, hint, "invalid image reference %q", reference.Redact(ref))
	default:
		r.fail(at, "write repository:tag or repository@sha256:digest, with or without a registry",
			"invalid image reference %q", reference.Redact(ref))
	}
}

// Reference returns a reference of from:, qualified with the registry if one is known, as
// Repository does.
func (c *Config) Reference(ref, registry string) string {
	if hasRegistry(ref) || registry == "" {
		return ref
	}
	return registry + "/" + ref
}
