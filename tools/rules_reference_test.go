package tools_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazelbuild/buildtools/build"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRulesReference compares the reference in rules/README.md with every public rule, macro and provider of defs.bzl.
// Each needs a summary and one table row per argument, attribute or field, with the text of its Starlark documentation.
func TestRulesReference(t *testing.T) {
	readme, err := os.ReadFile("rules/README.md")
	require.NoError(t, err)
	sections := map[string]string{}
	for _, section := range strings.Split(string(readme), "\n### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		sections[name] = body
	}
	overview, _, _ := strings.Cut(string(readme), "\n### ")

	for name, file := range publicRules(t) {
		kind, summary, rows := reference(t, file, name)
		assert.NotEmpty(t, strings.TrimSpace(summary), "%s has no documentation", name)
		assert.Contains(t, overview, fmt.Sprintf("| [%s](#%s) | %s | %s |\n", name, strings.ToLower(name), kind, summary))
		body, ok := sections[name]
		if !assert.True(t, ok, "rules/README.md has no section %s", name) {
			continue
		}
		assert.Contains(t, body, "\n"+summary+"\n", name)
		var documented []string
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "| `") {
				documented = append(documented, strings.TrimSuffix(line, "\n"))
			}
		}
		assert.Equal(t, strings.Join(rows, "\n"), strings.Join(documented, "\n"), "the table of %s", name)
		delete(sections, name)
	}
	assert.Empty(t, sections, "sections about names that defs.bzl does not export")
}

// publicRules maps the names that defs.bzl exports to the files that define them.
func publicRules(t *testing.T) map[string]*build.File {
	loaded, exported := map[string]*build.File{}, map[string]*build.File{}
	for _, stmt := range parseStarlark(t, "rules/defs.bzl").Stmt {
		switch stmt := stmt.(type) {
		case *build.LoadStmt:
			file := parseStarlark(t, strings.NewReplacer("//tools/", "", ":", "/").Replace(stmt.Module.Value))
			for _, local := range stmt.To {
				loaded[local.Name] = file
			}
		case *build.AssignExpr:
			exported[stmt.LHS.(*build.Ident).Name] = loaded[stmt.RHS.(*build.Ident).Name]
		}
	}
	require.NotEmpty(t, exported)
	return exported
}

func parseStarlark(t *testing.T, name string) *build.File {
	content, err := os.ReadFile(filepath.FromSlash(name))
	require.NoError(t, err)
	file, err := build.ParseBzl(name, content)
	require.NoError(t, err)
	return file
}

// reference returns the kind of a definition, the first line of its documentation, and the rows of its table.
func reference(t *testing.T, file *build.File, name string) (kind, summary string, rows []string) {
	for _, stmt := range file.Stmt {
		switch stmt := stmt.(type) {
		case *build.DefStmt:
			if stmt.Name == name {
				summary, rows = macroReference(t, stmt)
				return "macro", summary, rows
			}
		case *build.AssignExpr:
			call, ok := stmt.RHS.(*build.CallExpr)
			if !ok || stmt.LHS.(*build.Ident).Name != name {
				continue
			}
			kind = call.X.(*build.Ident).Name
			members := map[string]string{"rule": "attrs", "provider": "fields"}[kind]
			for _, item := range dictItems(t, file, build.NewRule(call).Attr(members)) {
				key, doc := item.Key.(*build.StringExpr).Value, ""
				switch value := item.Value.(type) {
				case *build.CallExpr:
					required := map[bool]string{true: "yes", false: "no"}[build.NewRule(value).AttrLiteral("mandatory") == "True"]
					doc = text(build.NewRule(value).Attr("doc"))
					rows = append(rows, fmt.Sprintf("| `%s` | `%s` | %s | %s |", key, value.X.(*build.DotExpr).Name, required, doc))
				default:
					doc = text(value)
					rows = append(rows, fmt.Sprintf("| `%s` | %s |", key, doc))
				}
				assert.NotEmpty(t, doc, "%s.%s is not documented by string literals", name, key)
			}
			return kind, text(build.NewRule(call).Attr("doc")), rows
		}
	}
	require.Fail(t, "no definition", "%s does not define %s", file.Path, name)
	return "", "", nil
}

// text returns the value of a string literal or of a sum of them, or "" for other expressions.
func text(expr build.Expr) string {
	switch expr := expr.(type) {
	case *build.StringExpr:
		return expr.Value
	case *build.BinaryExpr:
		return text(expr.X) + text(expr.Y)
	}
	return ""
}

// dictItems returns the public items of a dict, which may be a union of dicts in other files.
func dictItems(t *testing.T, file *build.File, dict build.Expr) (items []*build.KeyValueExpr) {
	switch dict := dict.(type) {
	case *build.DictExpr:
		for _, item := range dict.List {
			if !strings.HasPrefix(item.Key.(*build.StringExpr).Value, "_") {
				items = append(items, item)
			}
		}
		return items
	case *build.BinaryExpr:
		return append(dictItems(t, file, dict.X), dictItems(t, file, dict.Y)...)
	}
	name := dict.(*build.Ident).Name
	for _, stmt := range file.Stmt {
		switch stmt := stmt.(type) {
		case *build.AssignExpr:
			if stmt.LHS.(*build.Ident).Name == name {
				return dictItems(t, file, stmt.RHS)
			}
		case *build.LoadStmt:
			for n, local := range stmt.To {
				if local.Name == name {
					loaded := parseStarlark(t, path.Join(path.Dir(file.Path), strings.TrimPrefix(stmt.Module.Value, ":")))
					return dictItems(t, loaded, &build.Ident{Name: stmt.From[n].Name})
				}
			}
		}
	}
	require.Fail(t, "no definition", "%s does not define %s", file.Path, name)
	return nil
}

// macroReference reads the "Args" section of a docstring.
func macroReference(t *testing.T, macro *build.DefStmt) (summary string, rows []string) {
	docstring, ok := macro.Body[0].(*build.StringExpr)
	require.True(t, ok, "%s has no docstring", macro.Name)
	summary, args, _ := strings.Cut(docstring.Value, "\n")
	_, args, _ = strings.Cut(args, "\n    Args:\n")
	docs := map[string]string{}
	current := ""
	for line := range strings.Lines(args) {
		if strings.HasPrefix(line, strings.Repeat(" ", 9)) {
			docs[current] += " " + strings.TrimSpace(line)
		} else if before, after, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			current = before
			docs[current] = after
		}
	}
	for _, param := range macro.Params {
		name, defaults := build.FormatString(param), "required"
		if p, ok := param.(*build.AssignExpr); ok {
			name, defaults = p.LHS.(*build.Ident).Name, "`"+build.FormatString(p.RHS)+"`"
		} else if strings.HasPrefix(name, "**") {
			defaults = ""
		}
		name = strings.TrimSpace(name)
		assert.NotEmpty(t, docs[name], "argument %s of %s has no documentation", name, macro.Name)
		row := fmt.Sprintf("| `%s` | %s | %s |", name, strings.ReplaceAll(defaults, "\n", ""), docs[name])
		rows = append(rows, strings.Replace(row, "|  |", "| |", 1))
		delete(docs, name)
	}
	assert.Empty(t, docs, "documented arguments that %s does not have", macro.Name)
	return summary, rows
}
