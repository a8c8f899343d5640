package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/spec/config"
)

const (
	fieldsBegin = "<!-- fields: go test ./tools/spec/config -run TestReferenceIsCurrent -update -->\n"
	fieldsEnd   = "<!-- end of fields -->\n"
)

// TestReferenceIsCurrent compares the fields in README.md with the schema, and so with the Go types.
func TestReferenceIsCurrent(t *testing.T) {
	content, err := os.ReadFile("README.md")
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(content), fieldsBegin)
	require.True(t, found, "README.md lacks the line %s", fieldsBegin)
	_, after, found := strings.Cut(rest, fieldsEnd)
	require.True(t, found, "README.md lacks the line %s", fieldsEnd)

	want := before + fieldsBegin + fieldsReference(t) + fieldsEnd + after
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(want), 0o644))
		return
	}
	got := strings.Split(string(content), "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("README.md:%d is not %q; run: go test ./tools/spec/config -run TestReferenceIsCurrent -update", i+1, line)
		}
	}
	assert.Len(t, strings.Split(want, "\n"), len(got))
}

// sections are the parts of the reference: a key path as users see it, and the schema's name of its type.
var sections = []struct{ title, definition, about string }{
	{"Top level", "Config", ""},
	{"`registries.HOST`", "Registry", ""},
	{"`bases.NAME`", "Base", "Exactly one of `builtin`, `image` and `debian` is required."},
	{"`bases.NAME.debian`", "Debian", ""},
	{"`images.NAME`", "Image", "The fields of [settings](#settings) belong here, too."},
	{"Settings", "Settings", "Settings belong to an image, and to `overrides.PLATFORM` of it."},
	{"`go`", "Go", "A main package, compiled with `-trimpath`."},
	{"`files[]`", "File", ""},
	{"`directories[]`", "Directory", "Creates a directory. If the base has it, only what is given changes."},
	{"`links[]`", "Link", ""},
	{"`healthcheck`", "Healthcheck", ""},
	{"`push`", "Push", ""},
	{"`smoke`", "Smoke", ""},
	{"`smoke.http`", "SmokeHTTP", ""},
}

// fieldsReference renders one table per type of the schema.
func fieldsReference(t *testing.T) string {
	content, err := config.Schema()
	require.NoError(t, err)
	var schema jsonschema.Schema
	require.NoError(t, json.Unmarshal(content, &schema))

	var out strings.Builder
	var known []string
	for _, s := range sections {
		known = append(known, s.definition)
		d := schema.Definitions[s.definition]
		require.NotNil(t, d, "the schema has no %s", s.definition)
		fmt.Fprintf(&out, "\n### %s\n", s.title)
		if s.about != "" {
			fmt.Fprintf(&out, "\n%s\n", s.about)
		}
		out.WriteString("\n| field | type | description |\n|---|---|---|\n")
		for p := d.Properties.Oldest(); p != nil; p = p.Next() {
			if s.definition == "Image" && isSetting(&schema, p.Key) {
				continue
			}
			name := "`" + p.Key + "`"
			if slices.Contains(d.Required, p.Key) {
				name += " (required)"
			}
			require.NotEmpty(t, p.Value.Description, "%s.%s has no description", s.definition, p.Key)
			description := strings.ReplaceAll(p.Value.Description, "|", `\|`)
			fmt.Fprintf(&out, "| %s | %s | %s |\n", name, typeName(p.Value), code(description))
		}
	}
	out.WriteString("\n")
	for name := range schema.Definitions {
		assert.Contains(t, known, name, "add the type to sections")
	}
	return out.String()
}

// literals are words of descriptions that Markdown shows as code, and would otherwise interpret in part.
var literals = regexp.MustCompile(
	`\{\{[. \w]*\}\}|\{(os|arch|variant)\}|[/\w:]*\$(\$|\w+|\{\w+\})|--\w+|\b[A-Z]+_[A-Z]+\b|\*\*`)

// code marks literals, unless the description already contains code.
func code(description string) string {
	description = strings.ReplaceAll(description, "<image>", "IMAGE")
	if strings.Contains(description, "`") {
		return description
	}
	return literals.ReplaceAllString(description, "`$0`")
}

func isSetting(schema *jsonschema.Schema, key string) bool {
	_, ok := schema.Definitions["Settings"].Properties.Get(key)
	return ok
}

// typeName describes the values of a field in words.
func typeName(s *jsonschema.Schema) string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return linkTo(name)
	case isScalar(s):
		return "string"
	case len(s.AnyOf) > 0:
		var names []string
		for _, one := range s.AnyOf {
			if n := typeName(one); !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		return strings.Join(names, " or ")
	case isPlatform(s):
		return "platform"
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprintf("`%v`", v))
		}
		return strings.Join(values, ", ")
	case s.Type == "array":
		return "list of " + plural(typeName(s.Items))
	case s.Type == "object":
		key := "name"
		if s.PropertyNames != nil {
			key = "platform"
		}
		value := "string"
		if s.AdditionalProperties != nil && !reflect.DeepEqual(s.AdditionalProperties, jsonschema.FalseSchema) {
			value = typeName(s.AdditionalProperties)
		}
		return fmt.Sprintf("map: %s to %s", key, value)
	case s.Type == "string":
		return "string"
	case s.Type == "":
		return "string"
	}
	return s.Type
}

func isScalar(s *jsonschema.Schema) bool {
	return len(s.AnyOf) == 3 && s.AnyOf[0].Type == "string" && s.AnyOf[1].Type == "number"
}

func isPlatform(s *jsonschema.Schema) bool { return slices.Contains(s.Enum, any("linux/amd64")) }

func plural(name string) string {
	if strings.HasPrefix(name, "[") || strings.HasPrefix(name, "`") {
		return name
	}
	return name + "s"
}

// linkTo links to the section of a type.
func linkTo(definition string) string {
	for _, s := range sections {
		if s.definition == definition {
			title := strings.ToLower(s.title)
			anchor := strings.NewReplacer("`", "", ".", "", "[", "", "]", "", " ", "-").Replace(title)
			return fmt.Sprintf("[%s](#%s)", strings.NewReplacer("`", "", "[]", "").Replace(s.title), anchor)
		}
	}
	return definition
}
