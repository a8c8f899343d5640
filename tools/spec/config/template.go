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
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Vars holds the values available to templates, such as {{.Git.ShortCommit}} and
// {{.Platform.Official}}.
type Vars struct {
	Image      string // name in multiarch.yaml
	Registry   string // see Config.RegistryOf
	Repository string // the image's full repository
	// Checkout answers queries about the checked-out commit. Implementations run a query only when
	// a template uses its result.
	Checkout Checkout
	// TagPrefix selects the git tags of the image.
	TagPrefix string
	// Env is the environment. Using a variable that is not set is an error.
	Env map[string]string
	// Platform is nil for templates about the whole index.
	Platform *PlatformVars
}

// PlatformVars describes a platform to templates.
type PlatformVars struct {
	OS, Architecture, Variant string
	Official                  string // prefix of Docker's official images, such as arm64v8
	Slug                      string // such as linux_arm_v7
}

// PlatformVarsOf returns the template values of a row of the architecture table.
func PlatformVarsOf(r arch.Row) *PlatformVars {
	return &PlatformVars{r.OS, r.Architecture, r.Variant, r.Official, r.Slug()}
}

// Template is a text/template over Vars that applies to the whole index.
type Template string

// PlatformTemplate is a text/template over Vars that applies to one platform.
type PlatformTemplate string

// UnmarshalText rejects templates that do not parse or use names that Vars does not have.
func (t *Template) UnmarshalText(text []byte) error {
	*t = Template(text)
	return checkTemplate(string(text), false)
}

// UnmarshalText rejects templates that do not parse or use names that Vars does not have.
func (t *PlatformTemplate) UnmarshalText(text []byte) error {
	*t = PlatformTemplate(text)
	return checkTemplate(string(text), true)
}

// Expand executes the template.
func (t Template) Expand(v Vars) (string, error) { return expand(string(t), v, "missingkey=error") }

// Expand executes the template.
func (t PlatformTemplate) Expand(v Vars) (string, error) {
	return expand(string(t), v, "missingkey=error")
}

// Tag expands the template of a tag. An empty result is not an error and means that there is no
// tag: {{.Git.Tag}} is empty if HEAD has no git tag.
func (t Template) Tag(v Vars) (string, error) { return PlatformTemplate(t).Tag(v) }

// Tag expands the template of a tag, as Template.Tag does.
func (t PlatformTemplate) Tag(v Vars) (string, error) {
	tag, err := t.Expand(v)
	if err != nil || tag == "" {
		return tag, err
	}
	var invalid *reference.TagError
	if errors.As(reference.CheckTag(tag), &invalid) {
		err = hinted(
			fmt.Errorf("template %q: %w", t, invalid),
			invalid.Hint()+"; "+
				"{{with .Git.Tag}}{{.}}-alpine{{end}} omits the tag if HEAD has none",
		)
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

// loops reports whether a template contains constructs that could run without end.
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

// checkTemplate expands the template with sample values. The environment is not known yet, so every
// variable counts as set.
func checkTemplate(text string, platform bool) error {
	sample := Vars{
		Image:      "image",
		Registry:   "registry.example.com",
		Repository: "registry.example.com/image",
		Checkout:   SampleCheckout{},
	}
	if platform {
		sample.Platform = PlatformVarsOf(arch.Table()[0])
	}
	_, err := expand(text, sample, "missingkey=zero")
	return err
}

// position matches the position that text/template reports, which is useless for a template of one
// line.
var position = lazy(`^template: :[0-9]+(:[0-9]+)?: (executing "" at )?`)

func templateError(text string, err error) error {
	known := append(vocabulary("", reflect.TypeFor[Vars]()), vocabulary(".Git", reflect.TypeFor[*Git]())...)
	message := position().ReplaceAllString(err.Error(), "")
	var hinting fault.Hinter
	switch {
	case errors.As(err, &hinting):
		return hinted(fmt.Errorf("template %q: %w", text, hinting), hinting.Hint())
	case strings.Contains(message, "nil pointer evaluating *config.PlatformVars"):
		return hinted(fmt.Errorf("template %q uses .Platform, which is not available for a whole index", text),
			"remove .Platform, or move it to per_platform, ldflags, labels, env or annotations of overrides")
	case strings.Contains(message, "map has no entry for key"):
		return hinted(&UnavailableError{fmt.Errorf("template %q: %s", text, message)}, "set the environment variable")
	}
	field := regexp.MustCompile(`<([^>]*)>`).FindStringSubmatch(message)
	if field == nil {
		return hinted(fmt.Errorf("template %q: %s", text, message), "known: "+strings.Join(known, ", "))
	}
	return hinted(fmt.Errorf("template %q: %s", text, message), suggest.Hint(field[1], known))
}

// UnavailableError is returned for a valid template that needs a checkout or an environment
// variable that this machine does not have.
type UnavailableError struct{ error }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.error }

// vocabulary lists the fields of Vars and the methods of Git in template notation.
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
