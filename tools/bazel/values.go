package bazel

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	bzl "github.com/bazelbuild/buildtools/build"

	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// errUsesGit marks templates that use git information. Generated files must not depend on it.
var errUsesGit = errors.New("uses git information")

// noGit is a config.Checkout that returns errors only.
type noGit struct{}

func (noGit) Head() (config.Head, error)      { return config.Head{}, errUsesGit }
func (noGit) Tag(string) (string, error)      { return "", errUsesGit }
func (noGit) Describe(string) (string, error) { return "", errUsesGit }
func (noGit) Dirty() (bool, error)            { return false, errUsesGit }

// varsOf returns the template variables of an image that are known when files are generated.
func (t *resolver) varsOf(i plan.Image) config.Vars {
	c := t.project.Config
	return config.Vars{
		Image: i.Name, Registry: c.RegistryOf(i.Push.Repository, i.Push.Registry), Repository: i.Push.Repository,
		TagPrefix: c.TagPrefix(i.Name), Checkout: noGit{},
	}
}

// values expands templates of environment variables, labels and annotations as far as possible. Build actions expand
// {{.Git}} fields.
func (t *resolver) values(at config.Path, of map[string]string, vars config.Vars) map[string]string {
	all := make(map[string]string, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		value, err := expandKnown(of[key], vars)
		if err != nil {
			t.fail(append(slices.Clone(at), key), "use .Git, .Image, .Repository or .Platform", "%w", err)
		}
		all[key] = value
	}
	return all
}

// withoutVariables escapes what the rules would expand as Make variables. In env, a dollar sign before it already does.
func withoutVariables(values map[string]string, dollarsEscape bool) map[string]string {
	for key, value := range values {
		parts := strings.SplitAfter(value, "$(")
		for n, part := range parts[:len(parts)-1] {
			if open := strings.TrimSuffix(part, "$("); !dollarsEscape || !strings.HasSuffix(open, "$") {
				parts[n] = open + "$$("
			}
		}
		values[key] = strings.Join(parts, "")
	}
	return values
}

// envField matches .Env in templates.
var envField = regexp.MustCompile(`\{\{[^}]*\.Env\b`)

// expandKnown expands a template except for .Git. The result is a plain string, or a template that uses only .Git.
func expandKnown(value string, vars config.Vars) (string, error) {
	if !config.IsTemplate(value) {
		return value, nil
	}
	if envField.MatchString(value) {
		return "", fmt.Errorf("template %q: Bazel actions have no environment variables", value)
	}
	filled, err := config.ValueTemplate(value).ExpandEnv(vars)
	switch {
	case err == nil && !config.IsTemplate(filled):
		return filled, nil
	case err != nil && !errors.Is(err, errUsesGit):
		return "", fmt.Errorf("%w (generated files do not depend on who generates them)", err)
	}
	parsed, err := template.New("").Parse(value)
	if err != nil {
		return "", fmt.Errorf("template %q: %w", value, err)
	}
	substitute(parsed.Root, known(vars))
	return parsed.Root.String(), nil
}

// known returns the template fields that are known when files are generated.
func known(vars config.Vars) map[string]string {
	all := map[string]string{"Image": vars.Image, "Registry": vars.Registry, "Repository": vars.Repository}
	if p := vars.Platform; p != nil {
		maps.Copy(all, map[string]string{
			"Platform.OS": p.OS, "Platform.Architecture": p.Architecture, "Platform.Variant": p.Variant,
			"Platform.Official": p.Official, "Platform.Slug": p.Slug,
		})
	}
	return all
}

// substitute replaces known fields with their values.
func substitute(n parse.Node, known map[string]string) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for i, child := range n.Nodes {
			if text, ok := actionValue(child, known); ok {
				n.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Text: []byte(text)}
				continue
			}
			substitute(child, known)
		}
	case *parse.ActionNode:
		substitutePipe(n.Pipe, known)
	case *parse.IfNode:
		substituteBranch(&n.BranchNode, known)
	case *parse.WithNode:
		substituteBranch(&n.BranchNode, known)
	}
}

func substituteBranch(n *parse.BranchNode, known map[string]string) {
	substitutePipe(n.Pipe, known)
	substitute(n.List, known)
	substitute(n.ElseList, known)
}

func substitutePipe(n *parse.PipeNode, known map[string]string) {
	for _, command := range n.Cmds {
		for i, argument := range command.Args {
			if pipe, ok := argument.(*parse.PipeNode); ok {
				substitutePipe(pipe, known)
			} else if value, ok := fieldValue(argument, known); ok {
				command.Args[i] = &parse.StringNode{NodeType: parse.NodeString, Quoted: strconv.Quote(value), Text: value}
			}
		}
	}
}

// actionValue returns the value of an action that consists of a known field, such as {{.Image}}.
func actionValue(n parse.Node, known map[string]string) (string, bool) {
	action, ok := n.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 || len(action.Pipe.Cmds[0].Args) != 1 {
		return "", false
	}
	return fieldValue(action.Pipe.Cmds[0].Args[0], known)
}

// fieldValue returns the value of a known field: .Image, or $.Image inside a with block.
func fieldValue(n parse.Node, known map[string]string) (string, bool) {
	var words []string
	switch n := n.(type) {
	case *parse.FieldNode:
		words = n.Ident
	case *parse.VariableNode:
		if n.Ident[0] != "$" {
			return "", false
		}
		words = n.Ident[1:]
	}
	value, ok := known[strings.Join(words, ".")]
	return value, ok
}

// healthcheck is the argument healthcheck: a dictionary of strings, with a list for the key test.
type healthcheck image.Healthcheck

func (h healthcheck) expr() bzl.Expr {
	fields := map[string]any{}
	for key, d := range map[string]time.Duration{
		"interval": h.Interval, "timeout": h.Timeout, "start_period": h.StartPeriod, "start_interval": h.StartInterval,
	} {
		if d != 0 {
			fields[key] = d.String()
		}
	}
	if h.Test != nil {
		fields["test"] = h.Test
	}
	if h.Retries != 0 {
		fields["retries"] = strconv.Itoa(h.Retries)
	}
	return dict(fields, nil, expr).expr
}
