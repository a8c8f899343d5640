package bazel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// stamps maps the fields of {{.Git}} to keys of the workspace status.
var stamps = map[string]string{
	"Commit":      "STABLE_GIT_COMMIT",
	"ShortCommit": "STABLE_GIT_SHORT_COMMIT",
	"Branch":      "STABLE_GIT_BRANCH",
	"Tag":         "STABLE_GIT_TAG",
	"Describe":    "STABLE_GIT_DESCRIBE",
	"CommitTime":  "STABLE_GIT_COMMIT_TIME",
	"Dirty":       "STABLE_GIT_DIRTY",
}

// stampKey returns the key for a field of {{.Git}}, for an image with the given prefix of git tags.
func stampKey(word, prefix string) (string, bool) {
	key, ok := stamps[word]
	if word == "Tag" || word == "Describe" {
		key += config.StatusSuffix(prefix)
	}
	return key, ok
}

// stampOpen and stampClose delimit stamp keys until the value has been checked for braces. YAML text cannot contain
// them.
const stampOpen, stampClose = "\x01", "\x02"

// flags are the build flags of a Go binary as attributes of rules_go.
type flags struct {
	link    []string          // gc_linkopts
	defines map[string]string // x_defs
	tags    []string          // gotags
	given   bool              // whether the configuration sets linker flags
	cgo     bool
}

func (f flags) isDefault() bool {
	strips := !f.given || slices.Equal(f.link, []string{"-s", "-w"}) || slices.Equal(f.link, []string{"-w", "-s"})
	return strips && !f.cgo && len(f.defines) == 0 && len(f.tags) == 0
}

func (f flags) key() string { return fmt.Sprintf("%q %q %q %t", f.link, f.defines, f.tags, f.cgo) }

// flags translates the build flags of a child's binary, and reports those that rules_go does not support.
func (t *resolver) flags(at config.Path, i plan.Image, c plan.Child) (f flags, ok bool) {
	src := t.project.Config.Images[i.Name].On(c.Platform).Go
	before := len(t.errs)
	for _, e := range c.Go.Env {
		name, _, _ := strings.Cut(e, "=")
		t.fail(append(at, "env", name), ownTargetHint, "rules_go cannot set %s for a single binary", name)
	}
	row, _ := arch.Find(c.Platform)
	if f.cgo = c.Go.Cgo; f.cgo && row.Triplet == "" {
		t.fail(append(at, "cgo"), ownTargetHint, "cgo is not supported for %s in Bazel", c.Platform)
	}
	f.tags = c.Go.Tags
	f.given = src.Ldflags != nil
	vars := config.Vars{
		Image:      i.Name,
		Registry:   t.project.Config.RegistryOf(i.Push.Repository, i.Push.Registry),
		Repository: i.Push.Repository,
		Platform:   config.PlatformVarsOf(row),
		TagPrefix:  t.project.Config.TagPrefix(i.Name),
	}
	var joined []string
	for n, flag := range src.Ldflags {
		value, err := stamped(flag, vars)
		if err != nil {
			t.fail(append(at, "ldflags", n), ownTargetHint, "%w", err)
			continue
		}
		joined = append(joined, value)
	}
	fields, err := fieldsOf(strings.Join(joined, " "))
	if err != nil {
		t.fail(append(at, "ldflags"), "close the quote", "%w", err)
	}
	f.defines = map[string]string{}
	for n := 0; n < len(fields); n++ {
		definition, isX := strings.CutPrefix(fields[n], "-X=")
		if !isX && fields[n] == "-X" {
			n++
			if isX = n < len(fields); isX {
				definition = fields[n]
			}
		}
		name, v, both := strings.Cut(definition, "=")
		switch {
		case !isX && fields[min(n, len(fields)-1)] == "-X", isX && !both:
			t.fail(
				append(at, "ldflags"),
				"write it as -X main.version={{.Git.Describe}}, for example",
				"-X requires package.name=value",
			)
		case !isX && strings.ContainsAny(fields[n], stampOpen):
			t.fail(append(at, "ldflags"), ownTargetHint, "rules_go expands {{.Git}} only in -X flags")
		case !isX:
			f.link = append(f.link, fields[n])
		case strings.ContainsAny(definition, "{}"):
			t.fail(
				append(at, "ldflags"),
				ownTargetHint,
				"braces in the value of -X %s: rules_go would expand them as a stamp",
				name,
			)
		default:
			f.defines[name] = strings.NewReplacer(stampOpen, "{", stampClose, "}").Replace(v)
		}
	}
	return f, len(t.errs) == before
}

// stamped expands a template, with keys of the workspace status in place of {{.Git}} fields.
func stamped(flag config.PlatformTemplate, vars config.Vars) (string, error) {
	text, err := withStamps(string(flag), vars.TagPrefix)
	if err != nil {
		return "", err
	}
	vars.Checkout = noGit{}
	value, err := config.PlatformTemplate(text).Expand(vars)
	switch {
	case errors.Is(err, errUsesGit):
		return "", fmt.Errorf("template %q: stamps support only plain {{.Git}} fields", flag)
	case err != nil:
		return "", fmt.Errorf("%w (generated files must not depend on the environment)", err)
	}
	return value, nil
}

// withStamps replaces every plain {{.Git}} field with its stamp key.
func withStamps(text, prefix string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	parsed, err := template.New("").Parse(text)
	if err != nil {
		return "", fmt.Errorf("template %q: %w", text, err)
	}
	if parsed.Root == nil {
		return text, nil
	}
	for n, node := range parsed.Root.Nodes {
		if key, ok := stampOf(node, prefix); ok {
			parsed.Root.Nodes[n] = &parse.TextNode{NodeType: parse.NodeText, Text: []byte(stampOpen + key + stampClose)}
		}
	}
	return parsed.Root.String(), nil
}

// stampOf returns the stamp key of a plain {{.Git}} field.
func stampOf(n parse.Node, prefix string) (string, bool) {
	action, ok := n.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 || len(action.Pipe.Cmds[0].Args) != 1 {
		return "", false
	}
	field, ok := action.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(field.Ident) != 2 || field.Ident[0] != "Git" {
		return "", false
	}
	return stampKey(field.Ident[1], prefix)
}

// fieldsOf splits linker flags as the go command does: at spaces outside quotes.
func fieldsOf(s string) ([]string, error) {
	var fields []string
	for {
		s = strings.TrimLeft(s, " \t\n\r")
		if s == "" {
			return fields, nil
		}
		if quote := s[0]; quote == '"' || quote == '\'' {
			end := strings.IndexByte(s[1:], quote)
			if end < 0 {
				return nil, fmt.Errorf("unterminated %c quote in linker flags", quote)
			}
			fields, s = append(fields, s[1:1+end]), s[2+end:]
			continue
		}
		end := strings.IndexAny(s, " \t\n\r")
		if end < 0 {
			end = len(s)
		}
		fields, s = append(fields, s[:end]), s[end:]
	}
}
