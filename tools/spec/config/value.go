package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ValueTemplate is the value of a label, an annotation or an environment variable. It is a template
// over Vars about one platform if it uses one of their names. Any other {{ is literal, since such
// values are often templates of other programs.
type ValueTemplate string

// ourTemplate matches {{ with a name of Vars: {{.Git.Tag}}, {{ with $.Image }}, {{- printf "%s"
// .Env.X}}.
var ourTemplate = lazy(`\{\{(?:[^}]*[^\w)\]}"'.])?\.(?:Git|Env|Image|Registry|Repository|Platform)\b`)

// IsTemplate reports whether a value uses a name of Vars.
func IsTemplate(value string) bool {
	return strings.Contains(value, "{{") && ourTemplate().MatchString(value)
}

// UnmarshalText rejects templates that do not parse or use names that Vars does not have.
func (t *ValueTemplate) UnmarshalText(text []byte) error {
	*t = ValueTemplate(text)
	if !IsTemplate(string(text)) {
		return nil
	}
	return literalHint(checkTemplate(string(text), true))
}

// checkIndex rejects templates about one platform.
func (t ValueTemplate) checkIndex() error {
	if !IsTemplate(string(t)) {
		return nil
	}
	return checkTemplate(string(t), false)
}

// Expand executes the template.
func (t ValueTemplate) Expand(v Vars) (string, error) {
	if !IsTemplate(string(t)) {
		return string(t), nil
	}
	value, err := expand(string(t), v, "missingkey=error")
	return value, literalHint(err)
}

// ExpandEnv expands the template of an environment variable. $NAME still refers to the base's
// environment, so dollar signs in inserted values are doubled.
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

// literalHint adds how to write literal braces.
func literalHint(err error) error {
	if err == nil {
		return nil
	}
	const literal = "write {{\"{{\"}} for literal braces"
	if hint := hintOf(err); hint != "" {
		return hinted(err, hint+"; "+literal)
	}
	return hinted(err, literal)
}

func escapeDollars(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// escapedCheckout doubles dollar signs in the names of branches and tags.
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

// templateHints maps keys to what to write instead of a template.
var templateHints = map[string]string{
	"created":    "write created: commit",
	"registry":   "use --registry or MULTIARCH_REGISTRY",
	"mirrors":    "use --registry or MULTIARCH_REGISTRY",
	"repository": "use tags: or per_platform:, or --registry",
	"platforms":  "list all platforms, and select some with --platform",
	"cmd":        "pass the value in an environment variable with env:",
	"entrypoint": "pass the value in an environment variable with env:",
	"files":      "write {os}, {arch} or {variant} in from:",
	"go":         "set a variable in the program with ldflags:, such as -X main.version={{.Git.Describe}}",
}

// refuseTemplate reports a template in a value that is not expanded: it would end up in the image
// literally.
func (r *reader) refuseTemplate(n *yaml.Node, path Path) {
	hint := "templates are allowed in labels, annotations, env, push: {tags, per_platform} and go: {ldflags}"
	for _, step := range slices.Backward(path) {
		if key, ok := step.(string); ok && templateHints[key] != "" {
			hint = templateHints[key] + "; " + hint
			break
		}
	}
	r.failAt(n, path, hinted(fmt.Errorf("templates are not expanded here: %q", n.Value), hint))
}

// checkIndexAnnotations reports annotations that cannot apply to the index.
func (r *reader) checkIndexAnnotations(at Path, values map[Text]ValueTemplate) {
	for key, value := range values {
		if err := value.checkIndex(); err != nil {
			r.failAt(r.find(at.to(string(key))), at.to(string(key)), err)
		}
	}
}
