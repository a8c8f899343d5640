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

// errAsked is returned for a template that asks for the checkout, on which no generated file depends.
var errAsked = errors.New("asks what is checked out")

// noCheckout is a config.Checkout that answers nothing.
type noCheckout struct{}

func (noCheckout) Head() (config.Head, error)      { return config.Head{}, errAsked }
func (noCheckout) Tag(string) (string, error)      { return "", errAsked }
func (noCheckout) Describe(string) (string, error) { return "", errAsked }
func (noCheckout) Dirty() (bool, error)            { return false, errAsked }

// varsOf is what templates of an image can say, without what only the moment of building knows.
func (t *resolver) varsOf(i plan.Image) config.Vars {
	c := t.project.Config
	return config.Vars{
		Image: i.Name, Registry: c.RegistryOf(i.Push.Repository, i.Push.Registry), Repository: i.Push.Repository,
		TagPrefix: c.TagPrefix(i.Name), Checkout: noCheckout{},
	}
}

// values fills in templates of labels and annotations what is known. What they say about the checkout stays for the action
// to fill in.
func (t *resolver) values(at config.Path, of map[string]string, vars config.Vars) map[string]string {
	all := make(map[string]string, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		value, err := partly(of[key], vars)
		if err != nil {
			t.fail(append(slices.Clone(at), key), "use .Git, .Image, .Repository or .Platform", "%w", err)
		}
		all[key] = value
	}
	return all
}

// envWord matches .Env in a template.
var envWord = regexp.MustCompile(`\{\{[^}]*\.Env\b`)

// partly fills a template in as far as that is possible without a checkout: it becomes a text, or a template that uses
// nothing but .Git.
func partly(value string, vars config.Vars) (string, error) {
	if !config.IsTemplate(value) {
		return value, nil
	}
	if envWord.MatchString(value) {
		return "", fmt.Errorf("template %q asks for an environment variable, which no action of Bazel knows", value)
	}
	filled, err := config.ValueTemplate(value).ExpandEnv(vars)
	switch {
	case err == nil && !config.IsTemplate(filled):
		return filled, nil
	case err != nil && !errors.Is(err, errAsked):
		return "", fmt.Errorf("%w (generated files do not depend on who generates them)", err)
	}
	parsed, err := template.New("").Parse(value)
	if err != nil {
		return "", fmt.Errorf("template %q: %w", value, err)
	}
	fillNodes(parsed.Root, known(vars))
	return parsed.Root.String(), nil
}

// known lists the words that are known when files are generated.
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

// fillNodes replaces known words by their values.
func fillNodes(n parse.Node, known map[string]string) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for i, child := range n.Nodes {
			if text, ok := actionText(child, known); ok {
				n.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Text: []byte(text)}
				continue
			}
			fillNodes(child, known)
		}
	case *parse.ActionNode:
		fillPipe(n.Pipe, known)
	case *parse.IfNode:
		fillBranch(&n.BranchNode, known)
	case *parse.WithNode:
		fillBranch(&n.BranchNode, known)
	}
}

func fillBranch(n *parse.BranchNode, known map[string]string) {
	fillPipe(n.Pipe, known)
	fillNodes(n.List, known)
	fillNodes(n.ElseList, known)
}

func fillPipe(n *parse.PipeNode, known map[string]string) {
	for _, command := range n.Cmds {
		for i, argument := range command.Args {
			if pipe, ok := argument.(*parse.PipeNode); ok {
				fillPipe(pipe, known)
			} else if value, ok := wordOf(argument, known); ok {
				command.Args[i] = &parse.StringNode{NodeType: parse.NodeString, Quoted: strconv.Quote(value), Text: value}
			}
		}
	}
}

// actionText returns the text of an action that says one known word: {{.Image}}.
func actionText(n parse.Node, known map[string]string) (string, bool) {
	action, ok := n.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 || len(action.Pipe.Cmds[0].Args) != 1 {
		return "", false
	}
	return wordOf(action.Pipe.Cmds[0].Args[0], known)
}

// wordOf returns the value of a known word: .Image, or $.Image below a with.
func wordOf(n parse.Node, known map[string]string) (string, bool) {
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

// healthcheck is the argument of that name: a dictionary of texts, and of a list for test.
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
