package reference

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// command writes the reference anew.
const command = "go test ./tools/rules/reference -update"

// common is what Bazel gives to every rule, and no rule documents.
const common = "Besides these it has `name` and the other\n" +
	"[attributes common to all build rules](https://bazel.build/reference/be/common-definitions#common-attributes)."

func markdown(intro string, symbols []symbol) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Reference of the rules\n\nGenerated from [defs.bzl](defs.bzl) and [private](private) by `%s`; do not edit.\n\n%s\n",
		command, strings.TrimSpace(intro))
	var contents [][]string
	for _, s := range symbols {
		summary, _, _ := strings.Cut(s.doc, "\n\n")
		contents = append(contents, []string{"[" + s.name + "](#" + strings.ToLower(s.name) + ")", s.kind, inCell(summary)})
	}
	table(&b, []string{"Name", "Kind", "Summary"}, contents)
	for _, s := range symbols {
		fmt.Fprintf(&b, "\n## %s\n", s.name)
		if s.usage != "" {
			fmt.Fprintf(&b, "\n```starlark\n%s\n```\n", s.usage)
		}
		fmt.Fprintf(&b, "\n%s\n", s.doc)
		if len(s.members) > 0 {
			table(&b, s.columns, s.members)
		}
		if strings.HasSuffix(s.kind, "rule") {
			fmt.Fprintf(&b, "\n%s\n", common)
		}
		if s.returns != "" {
			fmt.Fprintf(&b, "\nReturns: %s\n", s.returns)
		}
	}
	return b.Bytes()
}

func table(b *bytes.Buffer, columns []string, rows [][]string) {
	line := func(cells []string) {
		b.WriteString("|")
		for _, cell := range cells {
			if cell != "" {
				cell = " " + cell
			}
			b.WriteString(cell + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	line(columns)
	b.WriteString(strings.Repeat("| --- ", len(columns)) + "|\n")
	for _, row := range rows {
		line(row)
	}
}

// signature is how a function is defined: on one line where there is room.
func signature(name string, params []string) string {
	if short := name + "(" + strings.Join(params, ", ") + ")"; len(short) <= 100 && !strings.Contains(short, "\n") {
		return short
	}
	var b strings.Builder
	b.WriteString(name + "(\n")
	for _, p := range params {
		b.WriteString("    " + strings.ReplaceAll(p, "\n", "\n    ") + ",\n")
	}
	return b.String() + ")"
}

// code shows an expression in a cell.
func code(expr build.Expr) string {
	return inCode(strings.Join(strings.Fields(build.FormatString(expr)), " "))
}

// inCode returns a code span for a cell. Text that has backticks itself needs a longer fence.
func inCode(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return strings.ReplaceAll(fence+text+fence, "|", `\|`)
}

// inCell returns Markdown for a cell of a table, which is a single line, and where a bar ends the cell even in code.
func inCell(text string) string {
	var paragraphs []string
	for _, p := range strings.Split(text, "\n\n") {
		if words := strings.Fields(p); len(words) > 0 {
			paragraphs = append(paragraphs, strings.Join(words, " "))
		}
	}
	return strings.ReplaceAll(strings.Join(paragraphs, "<br><br>"), "|", `\|`)
}
