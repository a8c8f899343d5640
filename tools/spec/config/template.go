package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Vars is what a template can say. The fields are the vocabulary: {{.Git.ShortCommit}}, {{.Platform.Official}}.
type Vars struct {
	Image      string // the image's name in multiarch.yaml
	Registry   string // where images go: see Config.RegistryOf
	Repository string // the image's repository, in full
	// Checkout finds out what {{.Git}} says; nil means that there is no checkout.
	Checkout Checkout
	// TagPrefix selects the git tags that are about the image.
	TagPrefix string
	// Env is the environment. A variable that is not set is an error.
	Env map[string]string
	// Platform is nil if a template is about the whole index.
	Platform *PlatformVars
}

// PlatformVars is a platform in a template.
type PlatformVars struct {
	OS, Architecture, Variant string
	Official                  string // the official images' prefix, such as arm64v8
	Slug                      string // such as linux_arm_v7
}

// PlatformVarsOf describes a row of the table for templates.
func PlatformVarsOf(r arch.Row) *PlatformVars {
	return &PlatformVars{r.OS, r.Architecture, r.Variant, r.Official, r.Slug()}
}

// Template is a text/template over Vars about the whole index.
type Template string

// PlatformTemplate is a text/template over Vars about one platform.
type PlatformTemplate string

// UnmarshalText refuses a template that does not parse, or that says what Vars does not have.
func (t *Template) UnmarshalText(text []byte) error {
	*t = Template(text)
	return checkTemplate(string(text), false)
}

// UnmarshalText refuses a template that does not parse, or that says what Vars does not have.
func (t *PlatformTemplate) UnmarshalText(text []byte) error {
	*t = PlatformTemplate(text)
	return checkTemplate(string(text), true)
}

// Expand fills the template.
func (t Template) Expand(v Vars) (string, error) { return expand(string(t), v, "missingkey=error") }

// Expand fills the template.
func (t PlatformTemplate) Expand(v Vars) (string, error) {
	return expand(string(t), v, "missingkey=error")
}

// Tag fills the template of a tag. An empty one is no mistake but is left out: so {{.Git.Tag}} is for a commit that bears
// none.
func (t Template) Tag(v Vars) (string, error) { return PlatformTemplate(t).Tag(v) }

// Tag fills the template of a tag, as that of Template does.
func (t PlatformTemplate) Tag(v Vars) (string, error) {
	tag, err := t.Expand(v)
	if err == nil && tag != "" && !tagPattern().MatchString(tag) {
		err = hinted(fmt.Errorf("tag %q of template %q is not a tag", tag, t),
			"use letters, digits, and . _ -, 128 at most, with none of . - in front; what may be empty is left out as a whole by {{with .Git.Tag}}{{.}}-alpine{{end}}")
	}
	return tag, err
}

func expand(text string, v Vars, option string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	t, err := template.New("").Option(option).Parse(text)
	if err != nil {
		return "", templateError(text, err)
	}
	if loops(t.Root) || len(t.Templates()) > 1 {
		return "", fmt.Errorf("template %q: range, define and template are not allowed", text)
	}
	var out strings.Builder
	if err := t.Execute(&out, v); err != nil {
		return "", templateError(text, err)
	}
	return out.String(), nil
}

// loops tells whether a template could run without end: a name or a flag needs no loop.
func loops(n parse.Node) bool {
	switch n := n.(type) {
	case *parse.ListNode:
		return n != nil && slices.ContainsFunc(n.Nodes, loops)
	case *parse.IfNode:
		return loops(n.List) || loops(n.ElseList)
	case *parse.WithNode:
		return loops(n.List) || loops(n.ElseList)
	case *parse.RangeNode, *parse.TemplateNode:
		return true
	}
	return false
}

// checkTemplate fills the template with a sample. The environment is not known yet, so any variable is taken to be set.
func checkTemplate(text string, platform bool) error {
	sample := Vars{Image: "image", Registry: "registry.example.com", Repository: "registry.example.com/image", Checkout: SampleCheckout{}}
	if platform {
		sample.Platform = PlatformVarsOf(arch.Table()[0])
	}
	_, err := expand(text, sample, "missingkey=zero")
	return err
}

// position matches where text/template puts its own position, which says nothing for a template of one line.
var position = lazy(`^template: :[0-9]+(:[0-9]+)?: (executing "" at )?`)

func templateError(text string, err error) error {
	known := append(vocabulary("", reflect.TypeFor[Vars]()), vocabulary(".Git", reflect.TypeFor[*Git]())...)
	message := position().ReplaceAllString(err.Error(), "")
	var hinting interface {
		error
		Hint() string
	}
	switch {
	case errors.As(err, &hinting):
		return hinted(fmt.Errorf("template %q: %w", text, hinting), hinting.Hint())
	case strings.Contains(message, "nil pointer evaluating *config.PlatformVars"):
		return hinted(fmt.Errorf("template %q uses .Platform, which is not available for a whole index", text), "use it in per_platform, ldflags, labels, env or annotations of overrides, or leave .Platform out")
	case strings.Contains(message, "map has no entry for key"):
		return hinted(&UnavailableError{fmt.Errorf("template %q: %s", text, message)}, "set the environment variable")
	}
	field := regexp.MustCompile(`<([^>]*)>`).FindStringSubmatch(message)
	if field == nil {
		return hinted(fmt.Errorf("template %q: %s", text, message), "known: "+strings.Join(known, ", "))
	}
	return hinted(fmt.Errorf("template %q: %s", text, message), suggest.Hint(field[1], known))
}

// UnavailableError is returned for a template that is sound, but asks for what this machine does not have: a checkout or
// an environment variable.
type UnavailableError struct{ error }

// Unwrap returns what is not there.
func (e *UnavailableError) Unwrap() error { return e.error }

// vocabulary lists the fields of Vars, and the methods of Git, as templates say them.
func vocabulary(prefix string, t reflect.Type) []string {
	var names []string
	for m := range t.Methods() {
		if prefix != "" {
			names = append(names, prefix+"."+m.Name)
		}
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for f := range t.Fields() {
		name := prefix + "." + f.Name
		switch {
		case !f.IsExported() || f.Name == "Checkout" || f.Name == "TagPrefix":
		case f.Type.Kind() == reflect.Pointer:
			names = append(names, vocabulary(name, f.Type)...)
		case f.Type.Kind() == reflect.Map:
			names = append(names, name+".NAME")
		default:
			names = append(names, name)
		}
	}
	return names
}
