package reference_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/rules/reference"
)

// tree makes a folder of rules from files in txtar's form.
func tree(text string) fstest.MapFS {
	out := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(text)).Files {
		out[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return out
}

// section returns what the reference says of a name.
func section(t *testing.T, markdown []byte, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(string(markdown), "\n## "+name+"\n\n")
	require.True(t, found, "%s is not in:\n%s", name, markdown)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

func TestMacro(t *testing.T) {
	got, err := reference.Markdown(tree(`
-- defs.bzl --
"""Rules."""

def image(name, *, count: int = 3, sep = "a|b", names = [
    "a",
    "b",
], **kwargs):
    """Makes an image.

    It is an index:

        image(name = "x")

    Args:
        name: of the target,
            and of others.

            There are many of those.
        **kwargs: visibility.
        count (int): how many, ` + "`a|b`" + `.
        sep: a separator.
        names: of people.

    Returns:
        nothing
        at all.

    Deprecated:
        use another.

    More text.
    """
    native.filegroup(name = name)
`))
	require.NoError(t, err)
	assert.Equal(t, "```starlark\n"+`image(
    name,
    *,
    count: int = 3,
    sep = "a|b",
    names = [
        "a",
        "b",
    ],
    **kwargs,
)
`+"```"+`

Makes an image.

It is an index:

    image(name = "x")

More text.

**Deprecated.** use another.

| Argument | Default | Description |
| --- | --- | --- |
| `+"`name`"+` | required | of the target, and of others.<br><br>There are many of those. |
| `+"`count` | `3`"+` | how many, `+"`a\\|b`"+`. |
| `+"`sep` | `\"a\\|b\"`"+` | a separator. |
| `+"`names` | `[ \"a\", \"b\", ]`"+` | of people. |
| `+"`**kwargs`"+` | | visibility. |

Returns: nothing
at all.
`, section(t, got, "image"))
}

func TestRule(t *testing.T) {
	got, err := reference.Markdown(tree(`
-- defs.bzl --
"""Rules."""

load("//tools/rules/private:a.bzl", _first = "files_test")

files_test = _first
-- private/a.bzl --
load(":b.bzl", "SHARED", HIDDEN = "TOOLS")

_SUM = {"own": attr.label(doc = "Own.")} | SHARED

files_test = rule(
    implementation = _impl,
    doc = "Tests " +
          "files.",
    attrs = _SUM | HIDDEN | {
        "mode": attr.string(default = "0" + "6", doc = "Replaced."),
        "_secret": attr.int(),
        "count": attr.int(doc = "Many."),
    },
    test = True,
)
-- private/b.bzl --
SHARED = {
    "mode": attr.string(doc = "Of files."),
    "srcs": attr.label_list(
        mandatory = True,
        doc = """Files.

        Any | all.""",
    ),
}
TOOLS = {"_tool": attr.label(executable = True)}
`))
	require.NoError(t, err)
	assert.Equal(t, `Tests files.

| Attribute | Type | Default | Mandatory | Description |
| --- | --- | --- | --- | --- |
| `+"`own` | `label` | `None`"+` | no | Own. |
| `+"`mode` | `string` | `\"0\" + \"6\"`"+` | no | Replaced. |
| `+"`srcs` | `label_list`"+` | | yes | Files.<br><br>Any \| all. |
| `+"`count` | `int` | `0`"+` | no | Many. |

Besides these it has `+"`name`"+` and the other
[attributes common to all build rules](https://bazel.build/reference/be/common-definitions#common-attributes).
`, section(t, got, "files_test"))
	assert.Contains(t, string(got), "| [files_test](#files_test) | test rule | Tests files. |\n")
}

func TestProvider(t *testing.T) {
	got, err := reference.Markdown(tree(`
-- defs.bzl --
"""Rules."""

load(":p.bzl", "B", _A = "A")

AInfo = _A
BInfo = B
-- p.bzl --
A = provider("Positional.", fields = {"x": "an x", "_y": ""})
B = provider(doc = "None.", fields = [])
`))
	require.NoError(t, err)
	assert.Equal(t, "Positional.\n\n| Field | Description |\n| --- | --- |\n| `x` | an x |\n", section(t, got, "AInfo"))
	assert.Equal(t, "None.\n", section(t, got, "BInfo"))
}

// TestOrder also holds that the reference begins with where it comes from.
func TestOrder(t *testing.T) {
	got, err := reference.Markdown(tree(`
-- defs.bzl --
"""All the rules.

    load("defs.bzl")
"""

_hidden = provider(doc = "H.", fields = {})
Z = _hidden
A = provider(doc = "A.", fields = {})

def m():
    """M."""
`))
	require.NoError(t, err)
	var headings []string
	for line := range strings.Lines(string(got)) {
		if strings.HasPrefix(line, "#") {
			headings = append(headings, strings.TrimSpace(line))
		}
	}
	assert.Equal(t, []string{"# Reference of the rules", "## Z", "## A", "## m"}, headings)
	assert.Regexp(t, "^# Reference of the rules\n\nGenerated from .* by `go test ./tools/rules/reference -update`.*\n\nAll the rules.\n\n    load\\(", string(got))
}

// TestWrong has rules that the reference cannot be written of. Each line of want is a whole line of the error.
func TestWrong(t *testing.T) {
	for name, c := range map[string]struct{ rules, want string }{
		"argument without documentation": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\nload(\"//tools/rules/private:m.bzl\", _m = \"m\")\nm = _m\n" +
				"-- private/m.bzl --\n\ndef m(\n        name,\n        size = 1,\n        **kwargs):\n    \"\"\"M.\n\n    Args:\n        name: n.\n        size:\n    \"\"\"\n",
			`tools/rules/private/m.bzl:4: m: argument "size" is not documented; describe it under Args
tools/rules/private/m.bzl:5: m: argument "**kwargs" is not documented; describe it under Args`,
		},
		"documentation without argument": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\ndef m(name, **kwargs):\n    \"\"\"M.\n\n    Args:\n        name: n.\n        nam: n.\n        kwargs: k.\n        **kwargs: k.\n        name: n.\n        what\n    \"\"\"\n",
			`tools/rules/defs.bzl:10: m: argument "name" is documented twice
tools/rules/defs.bzl:11: m: "what" under Args is not an argument; write "name: what it is", and indent what continues it
tools/rules/defs.bzl:7: m: argument "nam" is documented and does not exist
tools/rules/defs.bzl:8: m: argument "kwargs" is documented and does not exist`,
		},
		"macro without docstring": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\ndef m():\n    pass\n\ndef n(x):\n    \"\"\"\n    Args:\n        x: y.\n    \"\"\"\n",
			`tools/rules/defs.bzl:2: m has no docstring
tools/rules/defs.bzl:6: n: the docstring does not say what it does`,
		},
		"attribute without documentation": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\nr = rule(\n    attrs = {\n        \"a\": attr.string(),\n        \"b\": attr.string(doc = \"\"),\n        \"c\": attr.string(doc = \"C.\"),\n        \"_d\": attr.string(),\n    },\n)\n",
			`tools/rules/defs.bzl:2: rule r: it has no doc
tools/rules/defs.bzl:4: r: attribute "a": it has no doc
tools/rules/defs.bzl:5: r: attribute "b": its doc is empty`,
		},
		"attribute of another file without documentation": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\nload(\":a.bzl\", \"A\")\nr = rule(doc = \"R.\", attrs = A)\n-- a.bzl --\nA = {\n    \"a\": attr.string(),\n}\n",
			`tools/rules/a.bzl:2: r: attribute "a": it has no doc`,
		},
		"field without documentation": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\nP = provider(\n    fields = {\n        \"a\": \"\",\n    },\n)\nQ = provider(doc = \"Q.\", fields = [\"a\"])\n",
			`tools/rules/defs.bzl:2: provider P: it has no doc
tools/rules/defs.bzl:4: P: field "a": its doc is empty
tools/rules/defs.bzl:7: Q: fields is a list, which does not document them; make it a dict`,
		},
		"what has to be run": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\na = rule(doc = \"A.\", attrs = make())\nb = rule(doc = text(), attrs = {})\nc = rule(doc = \"C.\", attrs = {\"x\": shared, \"y\": attr.odd(doc = \"Y.\"), \"z\": attr.int(mandatory = no(), doc = \"Z.\")})\nd = rule(doc = \"D.\", attrs = {k: 1})\n",
			`tools/rules/defs.bzl:2: a dict: it is not written out, and cannot be read without being run
tools/rules/defs.bzl:3: rule b: its doc: it is not written out, and cannot be read without being run
tools/rules/defs.bzl:4: c: attribute "x": it is not written out, and cannot be read without being run
tools/rules/defs.bzl:4: c: attribute "y": unknown type attr.odd
tools/rules/defs.bzl:4: c: attribute "z": tools/rules/defs.bzl:4: neither True nor False: it is not written out, and cannot be read without being run
tools/rules/defs.bzl:5: a key: it is not written out, and cannot be read without being run`,
		},
		"names that lead nowhere": {
			"-- defs.bzl --\n\"\"\"R.\"\"\"\nload(\"@other//:x.bzl\", \"x\")\nload(\":gone.bzl\", \"y\")\nload(\":a.bzl\", \"z\", _w = \"w\")\na = x\nb = y\nc = z\nd = d\ne = 1\nf = rule(doc = \"F.\", attrs = A | B)\nA = {} | A\ng = _w\n-- a.bzl --\nload(\":defs.bzl\", w = \"g\")\n",
			`tools/rules/defs.bzl:2: a: @other//:x.bzl is not a file of //tools/rules
tools/rules/defs.bzl:3: b: reading the rules: open gone.bzl: file does not exist
tools/rules/defs.bzl:4: c: z is not defined in tools/rules/a.bzl
tools/rules/defs.bzl:8: d is defined by itself
tools/rules/defs.bzl:9: e is neither a function nor the result of rule() or provider()
tools/rules/defs.bzl:11: a dict is defined by itself
tools/rules/defs.bzl:11: A is neither a function nor the result of rule() or provider()
tools/rules/a.bzl:1: g is defined by itself`,
		},
		"no docstring":       {"-- defs.bzl --\nload(\":a.bzl\", \"a\")\n", `tools/rules/defs.bzl:1: it has no docstring`},
		"no names":           {"-- defs.bzl --\n\"\"\"R.\"\"\"\n", `tools/rules/defs.bzl:1: it has no public names`},
		"many names at once": {"-- defs.bzl --\n\"\"\"R.\"\"\"\na, b = f()\n", `tools/rules/defs.bzl:2: an assignment here must be of one name`},
		"no Starlark":        {"-- defs.bzl --\n)\n", `parsing the rules: tools/rules/defs.bzl:1:2: syntax error near )`},
		"no file":            {"", `reading the rules: open defs.bzl: file does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := reference.Markdown(tree(c.rules))
			require.Error(t, err)
			assert.Nil(t, got)
			assert.Equal(t, c.want, err.Error())
		})
	}
}

// FuzzMarkdown looks for sources that the generator does not survive.
func FuzzMarkdown(f *testing.F) {
	for _, name := range []string{"files", "macro", "providers", "tags"} {
		content, err := fs.ReadFile(os.DirFS(".."), "private/"+name+".bzl")
		require.NoError(f, err)
		f.Add(content)
	}
	f.Add([]byte("\"\"\"R.\"\"\"\nload(\":defs.bzl\", _b = \"a\")\na = _b\nB = (B | {\"x\": attr.int(doc = \"\")})\nc = rule(attrs = B)\n"))
	f.Add([]byte("\"\"\"R.\n\n\v\n\"\"\"\ndef f(*, a: int = 1, *b, **c):\n    \"\"\"\n    \u00a0\n    Args:\n\n      a (x): y\n     b:\n    \"\"\"\n"))
	f.Fuzz(func(t *testing.T, defs []byte) {
		got, err := reference.Markdown(fstest.MapFS{"defs.bzl": &fstest.MapFile{Data: defs}})
		assert.Equal(t, err == nil, got != nil)
	})
}
