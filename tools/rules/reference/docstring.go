package reference

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// A docstring has the form that buildifier checks: text, and sections with a heading of their own line. Only Args has a
// form inside.
type docstring struct {
	text    string // summary and description, Markdown
	returns string
	args    map[string]described
	order   []string // of args
}

// A described argument is one that the docstring speaks of, existing or not.
type described struct {
	line int    // in the file
	doc  string // for a cell of a table
}

// described arguments are "name: text", "**kwargs: text", or "name (type): text".
var argumentLine = regexp.MustCompile(`^(\*{0,2}\w+)(?: \([^)]*\))?:(?: +(.*))?$`)

// docstringOf returns the string that a file or a function begins with, or nil.
func docstringOf(body []build.Expr) *build.StringExpr {
	for _, stmt := range body {
		switch stmt := stmt.(type) {
		case *build.CommentBlock:
		case *build.StringExpr:
			return stmt
		default:
			return nil
		}
	}
	return nil
}

// A line of a docstring has its place in the file with it.
type line struct {
	number int
	text   string
}

// parseDocstring reads the docstring of a function. Errors say the function's name.
func parseDocstring(name string, in *module, literal *build.StringExpr) (docstring, []error) {
	sections := map[string][]line{}
	section := ""
	for i, text := range lines(literal) {
		switch {
		case slices.Contains([]string{"Args:", "Returns:", "Deprecated:"}, text):
			section = text
			continue
		case text != "" && text[0] != ' ' && section != "":
			section = "" // it ends with its indentation
		}
		sections[section] = append(sections[section], line{literal.Start.Line + i, text})
	}
	out := docstring{text: plain(sections[""]), returns: plain(sections["Returns:"])}
	if deprecated := plain(sections["Deprecated:"]); deprecated != "" {
		out.text = strings.TrimSpace(out.text + "\n\n**Deprecated.** " + deprecated)
	}
	var wrong []error
	out.args, out.order, wrong = arguments(name, in, sections["Args:"])
	return out, wrong
}

// arguments reads the section Args: one argument at each line that is indented as the first, and what is indented further
// belongs to it.
func arguments(name string, in *module, section []line) (map[string]described, []string, []error) {
	args := map[string]described{}
	texts := map[string][]string{}
	var order []string
	var wrong []error
	base, current := -1, ""
	for _, l := range section {
		indent := len(l.text) - len(strings.TrimLeft(l.text, " "))
		if base < 0 && l.text != "" {
			base = indent
		}
		if l.text == "" || indent > base {
			texts[current] = append(texts[current], strings.TrimSpace(l.text))
			continue
		}
		found := argumentLine.FindStringSubmatch(strings.TrimSpace(l.text))
		if found == nil || indent < base {
			current = ""
			wrong = append(wrong, in.errorf(l.number, "%s: %q under Args is not an argument; write \"name: what it is\", and indent what continues it",
				name, strings.TrimSpace(l.text)))
			continue
		}
		current = found[1]
		if _, twice := args[current]; twice {
			wrong = append(wrong, in.errorf(l.number, "%s: argument %q is documented twice", name, current))
			continue
		}
		args[current] = described{line: l.number}
		texts[current] = []string{found[2]}
		order = append(order, current)
	}
	for arg, d := range args {
		d.doc = inCell(strings.TrimSpace(strings.Join(texts[arg], "\n")))
		args[arg] = d
	}
	return args, order, wrong
}

// plain returns the text of a section without its indentation.
func plain(section []line) string {
	var texts []string
	for _, l := range section {
		texts = append(texts, l.text)
	}
	return strings.Trim(strings.Join(unindent(texts), "\n"), "\n")
}

// lines returns the lines of a docstring without the indentation of the code around it, which is that of its quotes.
func lines(docstring *build.StringExpr) []string {
	all := strings.Split(docstring.Value, "\n")
	all[0] = strings.TrimSpace(all[0])
	for i, l := range all[1:] {
		l = strings.TrimRight(l, " \t\r")
		indent := len(l) - len(strings.TrimLeft(l, " "))
		all[i+1] = l[min(indent, docstring.Start.LineRune-1):]
	}
	return all
}

// dedent returns a doc without the indentation of the code around it, which its first line has not.
func dedent(doc string) string {
	all := strings.Split(doc, "\n")
	return strings.TrimSpace(strings.TrimSpace(all[0]) + "\n" + strings.Join(unindent(all[1:]), "\n"))
}

// unindent cuts off the indentation that all lines share. Blank lines do not count and become empty.
func unindent(all []string) []string {
	shared := -1
	for _, l := range all {
		indent := len(l) - len(strings.TrimLeft(l, " "))
		if strings.TrimSpace(l) != "" && (shared < 0 || indent < shared) {
			shared = indent
		}
	}
	out := make([]string, len(all))
	for i, l := range all {
		if strings.TrimSpace(l) != "" {
			out[i] = strings.TrimRight(l[shared:], " \t\r")
		}
	}
	return out
}
