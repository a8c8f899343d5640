package config

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// Schema returns the JSON Schema (draft 2020-12) of multiarch.yaml, derived from the types of this package.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", Anonymous: true, Mapper: scalarSchema, LookupComment: description}
	s := r.Reflect(&Config{})
	// Image embeds Settings, so the reflector inlines it; overrides refer to it by name.
	s.Definitions["Settings"] = r.Reflect(&Settings{}).Definitions["Settings"]
	s.Title = "multiarch.yaml"
	s.Description = "Images, their platforms, their bases and the registries they are pushed to."
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// scalarSchema returns the schema of types parsed from a string, and of mappings whose keys are
// platforms.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[arch.Platform]():
		return &jsonschema.Schema{
			Type:        "string",
			Enum:        platformEnum(),
			Description: "os/architecture or os/architecture/variant",
		}
	case reflect.TypeFor[map[arch.Platform]Text]():
		return byPlatform(&jsonschema.Schema{Type: "string"})
	case reflect.TypeFor[BaseChoice]():
		keys := append(platformEnum(), defaultBase)
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {
			Type: "object", PropertyNames: &jsonschema.Schema{Enum: keys},
			AdditionalProperties: &jsonschema.Schema{Type: "string"},
		}}}
	case reflect.TypeFor[FromChoice]():
		list := &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "string"}}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{byPlatform(&jsonschema.Schema{Type: "string"}), list}}
	case reflect.TypeFor[HealthTest]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "array", Items: scalar()}}}
	case reflect.TypeFor[Repositories]():
		text := &jsonschema.Schema{Type: "string"}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text, {Type: "array", Items: text}}}
	case reflect.TypeFor[Immutable]():
		return &jsonschema.Schema{
			AnyOf: []*jsonschema.Schema{{Type: "boolean"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}}},
		}
	case reflect.TypeFor[Security]():
		return &jsonschema.Schema{
			AnyOf: []*jsonschema.Schema{{Type: "boolean"}, {Type: "string", Pattern: "^https?://"}},
		}
	case reflect.TypeFor[map[arch.Platform]Settings]():
		return byPlatform(&jsonschema.Schema{Ref: "#/$defs/Settings"})
	case reflect.TypeFor[Compression]():
		return &jsonschema.Schema{Type: "string", Enum: []any{Gzip, Zstd}}
	case reflect.TypeFor[finding.Kind]():
		kinds := &jsonschema.Schema{Type: "string"}
		for _, k := range finding.Kinds() {
			kinds.Enum = append(kinds.Enum, k)
		}
		return kinds
	case reflect.TypeFor[Created](),
		reflect.TypeFor[Name](),
		reflect.TypeFor[Duration](),
		reflect.TypeFor[HealthDuration](),
		reflect.TypeFor[Capabilities](),
		reflect.TypeFor[Pattern]():
		return &jsonschema.Schema{Type: "string"}
	case reflect.TypeFor[map[Name]Text](),
		reflect.TypeFor[map[Name]ValueTemplate](),
		reflect.TypeFor[map[Text]ValueTemplate]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: scalar()}
	case reflect.TypeFor[Text](), reflect.TypeFor[Port](), reflect.TypeFor[Mode](), reflect.TypeFor[Owner](),
		reflect.TypeFor[Template](), reflect.TypeFor[PlatformTemplate]():
		return scalar()
	}
	return nil
}

// scalar is the schema of Text. YAML parses 50, 1.10 and yes as types other than string, and so do
// editors.
func scalar() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
}

func byPlatform(value *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:                 "object",
		PropertyNames:        &jsonschema.Schema{Enum: platformEnum()},
		AdditionalProperties: value,
	}
}

func platformEnum() []any {
	var names []any
	for _, n := range arch.Names() {
		names = append(names, n)
	}
	return append(names, "linux/arm", "linux/arm64/v8", "linux/amd64/v1")
}
