package tools_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documents are all Markdown files of the repository, relative to its top.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel("..", path)
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "dist" ||
			strings.HasPrefix(d.Name(), "bazel-")) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || filepath.Ext(name) != ".md" {
			return nil
		}
		content, err := os.ReadFile(path)
		found[filepath.ToSlash(name)] = string(content)
		return err
	})
	require.NoError(t, err)
	require.Contains(t, found, "README.md")
	return found
}

func TestReadmeIsShort(t *testing.T) {
	assert.LessOrEqual(t, strings.Count(documents(t)["README.md"], "\n"), 150,
		"move details to the documents beside the code")
}

// TestDocumentsFitTheScreen allows long lines in tables and with links, which Markdown cannot break, in console
// sessions, which show the output of commands, and in the reference of the rules, which quotes Starlark documentation.
func TestDocumentsFitTheScreen(t *testing.T) {
	for name, content := range documents(t) {
		if name == "tools/rules/README.md" {
			content, _, _ = strings.Cut(content, "\n## Reference\n")
		}
		language := ""
		for i, line := range strings.Split(content, "\n") {
			if fence, ok := strings.CutPrefix(line, "```"); ok {
				language = fence
			}
			long := len([]rune(line)) > 100 && !strings.Contains(line, "https://")
			assert.False(t, long && language != "console" && !strings.HasPrefix(line, "|"), "%s:%d has more than 100 columns",
				name, i+1)
		}
	}
}

var (
	fences = regexp.MustCompile("(?ms)^```.*?^```$")
	spans  = regexp.MustCompile("`[^`\n]*`")
	links  = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	titles = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestDocumentsLinkToWhatExists checks relative links, anchors included.
func TestDocumentsLinkToWhatExists(t *testing.T) {
	all := documents(t)
	for name, content := range all {
		text := spans.ReplaceAllString(fences.ReplaceAllString(content, ""), "")
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, hasAnchor := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
				_, err := os.Stat(filepath.Join("..", target))
				assert.NoError(t, err, "%s links to %s", name, m[1])
			}
			if hasAnchor {
				assert.Contains(t, anchors(all[target]), anchor, "%s links to %s", name, m[1])
			}
		}
	}
}

// anchors are the fragments that GitHub gives to the headings of a document.
func anchors(content string) []string {
	var found []string
	for _, m := range titles.FindAllStringSubmatch(fences.ReplaceAllString(content, ""), -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		slug = strings.ReplaceAll(slug, " ", "-")
		unique := slug
		for n := 1; slices.Contains(found, unique); n++ {
			unique = fmt.Sprintf("%s-%d", slug, n)
		}
		found = append(found, unique)
	}
	return found
}

// TestDocumentsHaveContents requires a table of contents with every section of a document.
func TestDocumentsHaveContents(t *testing.T) {
	for name, content := range documents(t) {
		if !strings.HasSuffix(name, "/README.md") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(fences.ReplaceAllString(content, ""),
			-1) {
			entry := fmt.Sprintf("[%s](#%s)", m[1], anchors("# " + m[1])[0])
			assert.Contains(t, content, entry, "%s lacks an entry in its table of contents", name)
		}
	}
}

// TestMapListsEveryPackage compares the table in tools/README.md with the packages. It leaves out
// internal packages and those that only tests use.
func TestMapListsEveryPackage(t *testing.T) {
	content, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| \\[`([a-z/]+)`\\]").FindAllStringSubmatch(string(content), -1) {
		got = append(got, m[1])
	}
	want = append(want, "rules", "internal")
	for path, p := range list(t) {
		path, ok := strings.CutPrefix(path, "tools/")
		unlisted := strings.HasSuffix(path, "test") || strings.Contains(path+"/", "/tests/") ||
			strings.Contains(path, "internal/")
		if ok && p.Name != "tools_test" && !unlisted {
			want = append(want, path)
		}
	}
	assert.ElementsMatch(t, want, got, "list the package in the table of tools/README.md")
}

// TestPackagesHaveComments requires a comment of at least two sentences, or one for what is internal or for tests.
func TestPackagesHaveComments(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", "{{if .GoFiles}}{{.ImportPath}}\t{{.Dir}}{{end}}", "./...")
	out, err := cmd.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		fset := token.NewFileSet()
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		var comment string
		for _, file := range files {
			parsed, err := parser.ParseFile(fset, file, nil, parser.PackageClauseOnly|parser.ParseComments)
			require.NoError(t, err)
			if !strings.HasSuffix(file, "_test.go") {
				comment += parsed.Doc.Text()
			}
		}
		sentences := len(regexp.MustCompile(`[.:](\s|$)`).FindAllString(comment, -1))
		want := 2
		if strings.Contains(path, "/internal/") || strings.Contains(path, "/tests/") || strings.HasSuffix(path, "test") {
			want = 1
		}
		assert.GreaterOrEqual(t, sentences, want, "%s needs a package comment of two to six sentences", path)
	}
}

// TestWorkflowIsValid lets actionlint check this repository's own workflow.
func TestWorkflowIsValid(t *testing.T) {
	lint, err := exec.LookPath("actionlint")
	if err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatal(err)
		}
		t.Skip("actionlint is not installed")
	}
	cmd := exec.Command(lint, "-no-color", ".github/workflows/ci.yml")
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	workflow, err := os.ReadFile("../.github/workflows/ci.yml")
	require.NoError(t, err)
	assert.Contains(t, string(workflow), "run: .ci/run\n")
}
