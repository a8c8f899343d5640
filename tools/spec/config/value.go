package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ValueTemplate is the value of a label, an annotation or an environment variable. It is a template over Vars about one
// platform if it uses one of their words; any other {{ is literal, since such values are often templates of other
// programs.
type ValueTemplate string

// ourTemplate matches {{ with one of the words of Vars: {{.Git.Tag}}, {{ with $.Image }}, {{- printf "%s" .Env.X}}.
var ourTemplate = lazy(`\{\{(?:[^}]*[^\w)\]}"'.])?\.(?:Git|Env|Image|Registry|Repository|Platform)\b`)

// IsTemplate tells whether a value uses a word of Vars.
func IsTemplate(value string) bool {
	return strings.Contains(value, "{{") && ourTemplate().MatchString(value)
}

// UnmarshalText refuses a template that does not parse, or that uses words that Vars does not have.
func (t *ValueTemplate) UnmarshalText(text []byte) error {
	*t = ValueTemplate(text)
	if !IsTemplate(string(text)) {
		return nil
	}
	return literalHint(checkTemplate(string(text), true))
}

// checkIndex refuses a template that is about one platform.
func (t ValueTemplate) checkIndex() error {
	if !IsTemplate(string(t)) {
		return nil
	}
	return checkTemplate(string(t), false)
}

// Expand fills the template.
func (t ValueTemplate) Expand(v Vars) (string, error) {
	if !IsTemplate(string(t)) {
		return string(t), nil
	}
	value, err := expand(string(t), v, "missingkey=error")
	return value, literalHint(err)
}

// ExpandEnv fills the template of an environment variable, in which $NAME still refers to the base's environment: dollar
// signs of what is filled in are doubled.
func (t ValueTemplate) ExpandEnv(v Vars) (string, error) {
	if !IsTemplate(string(t)) {
		return string(t), nil
	}
	if v.Checkout != nil {
		v.Checkout = escapedCheckout{v.Checkout}
	}
	env := make(map[string]string, len(v.Env))
	for name, value := range v.Env {
		env[name] = escapeDollars(value)
	}
	v.Env = env
	return t.Expand(v)
}

// literalHint adds how to write braces that are meant literally.
func literalHint(err error) error {
	if err == nil {
		return nil
	}
	const literal = "write {{\"{{\"}} for braces that are meant literally"
	if hint := hintOf(err); hint != "" {
		return hinted(err, hint+"; "+literal)
	}
	return hinted(err, literal)
}

func escapeDollars(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// escapedCheckout doubles the dollar signs in the names of branches and tags.
type escapedCheckout struct{ Checkout }

func (c escapedCheckout) Head() (Head, error) {
	head, err := c.Checkout.Head()
	head.Branch = escapeDollars(head.Branch)
	return head, err
}

func (c escapedCheckout) Tag(prefix string) (string, error) {
	tag, err := c.Checkout.Tag(prefix)
	return escapeDollars(tag), err
}

func (c escapedCheckout) Describe(prefix string) (string, error) {
	version, err := c.Checkout.Describe(prefix)
	return escapeDollars(version), err
}

// templateHints are what to write instead of a template, by the key of the value.
var templateHints = map[string]string{
	"created":    "write created: commit",
	"registry":   "give --registry or MULTIARCH_REGISTRY",
	"mirrors":    "give --registry or MULTIARCH_REGISTRY",
	"repository": "use tags: or per_platform:, or give --registry",
	"platforms":  "write the platforms, and --platform for some of them",
	"cmd":        "set an environment variable with env:, and let the program read it",
	"entrypoint": "set an environment variable with env:, and let the program read it",
	"files":      "write {os}, {arch} or {variant} in from:",
	"go":         "set a variable of the program with ldflags:, such as -X main.version={{.Git.Describe}}",
}

// refuseTemplate records a template of ours where none is expanded: it would end up in the image as it is written.
func (r *reader) refuseTemplate(n *yaml.Node, path Path) {
	hint := "templates are for labels, annotations, env, push: {tags, per_platform} and go: {ldflags}"
	for _, step := range slices.Backward(path) {
		if key, ok := step.(string); ok && templateHints[key] != "" {
			hint = templateHints[key] + "; " + hint
			break
		}
	}
	r.failAt(n, path, hinted(fmt.Errorf("templates are not expanded here: %q", n.Value), hint))
}

// checkIndexAnnotations records annotations that cannot be those of the index as well.
func (r *reader) checkIndexAnnotations(at Path, values map[Text]ValueTemplate) {
	for key, value := range values {
		if err := value.checkIndex(); err != nil {
			r.failAt(r.find(at.to(string(key))), at.to(string(key)), err)
		}
	}
}
