package tools_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bazelbuild/buildtools/build"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

const buildtools = "github.com/bazelbuild/buildtools"

// TestStarlarkIsFormatted holds every Starlark file of the checkout against buildifier, which is the same library: the
// version is that of go.mod for both.
func TestStarlarkIsFormatted(t *testing.T) {
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("a sandbox does not have the checkout; go test looks at it")
	}
	checkout := os.DirFS("..")
	files, err := starlark(checkout)
	require.NoError(t, err)
	require.NotEmpty(t, files, "this test looks at nothing")
	assert.Contains(t, files, "MODULE.bazel")
	assert.Contains(t, files, "tools/rules/defs.bzl")

	wrong, err := unformatted(checkout, files)
	require.NoError(t, err)
	command, err := buildifier(checkout)
	require.NoError(t, err)
	assert.Empty(t, wrong, "run at the top of the checkout: %s %s", command, strings.Join(wrong, " "))
}

// TestStarlarkCheckSeesEveryKind proves of the check above that it finds what it is for, where it is for it.
func TestStarlarkCheckSeesEveryKind(t *testing.T) {
	var (
		tidy   = &fstest.MapFile{Data: []byte("A = [\n    1,\n    2,\n]\n")}
		untidy = &fstest.MapFile{Data: []byte("A = [1,\n  2]\n")}
		// only a build file has an order of them
		attributes = &fstest.MapFile{Data: []byte("go_library(\n    srcs = [],\n    name = \"x\",\n)\n")}
	)
	tree := fstest.MapFS{
		"BUILD.bazel":                untidy,
		"MODULE.bazel":               untidy,
		"one.MODULE.bazel":           untidy,
		"a/b/defs.bzl":               untidy,
		"a/order/BUILD.bazel":        attributes,
		"a/order/defs.bzl":           attributes,
		"a/tidy/BUILD.bazel":         tidy,
		"a/notes.md":                 untidy,
		".git/BUILD.bazel":           untidy,
		"dist/BUILD.bazel":           untidy,
		"a/testdata/x/BUILD.bazel":   untidy,
		"bazel-bin/a/BUILD.bazel":    untidy,
		"a/bazel-out/defs.bzl":       untidy,
		"a/bazel/BUILD.bazel":        untidy,
		"a/dist/BUILD.bazel":         tidy,
		"a/link.bzl":                 {Mode: fs.ModeSymlink, Data: []byte("b/defs.bzl")},
		"a/directory.bzl/README.md":  tidy,
		"a/distribution/BUILD.bazel": tidy,
	}
	files, err := starlark(tree)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"BUILD.bazel", "MODULE.bazel", "one.MODULE.bazel", "a/b/defs.bzl",
		"a/order/BUILD.bazel",
		"a/order/defs.bzl", "a/tidy/BUILD.bazel", "a/bazel/BUILD.bazel", "a/dist/BUILD.bazel", "a/distribution/BUILD.bazel"},
		files)

	wrong, err := unformatted(tree, files)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"BUILD.bazel", "MODULE.bazel", "one.MODULE.bazel", "a/b/defs.bzl",
		"a/order/BUILD.bazel",
		"a/bazel/BUILD.bazel"}, wrong)

	tree["a/b/defs.bzl"] = &fstest.MapFile{Data: []byte("A = 1\nB = (\n")}
	_, err = unformatted(tree, files)
	assert.ErrorContains(t, err, "a/b/defs.bzl:4")
}

// starlark returns the paths of the Starlark files of a checkout.
func starlark(checkout fs.FS) ([]string, error) {
	return sources(checkout, func(name string) bool {
		base := path.Base(name)
		return path.Ext(base) == ".bzl" || base == "BUILD.bazel" || base == "MODULE.bazel" ||
			strings.HasSuffix(base, ".MODULE.bazel")
	})
}

// sources returns the paths of the regular files of a checkout for which match returns true. It skips the output of
// Bazel and of `multiarch build`, and testdata, which tests may need in any form.
func sources(checkout fs.FS, match func(name string) bool) ([]string, error) {
	var files []string
	err := fs.WalkDir(checkout, ".", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if base == ".git" || name == "dist" || base == "testdata" || strings.HasPrefix(base, "bazel-") {
				return fs.SkipDir
			}
		case d.Type().IsRegular() && match(name):
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// unformatted returns those of the files that buildifier would write differently.
func unformatted(checkout fs.FS, files []string) ([]string, error) {
	var wrong []string
	for _, name := range files {
		content, err := fs.ReadFile(checkout, name)
		if err != nil {
			return nil, err
		}
		parsed, err := build.Parse(name, content)
		if err != nil {
			return nil, fmt.Errorf("parsing Starlark: %w", err)
		}
		if !bytes.Equal(build.Format(parsed), content) { // Format does the rewrites as well
			wrong = append(wrong, name)
		}
	}
	return wrong, nil
}

// buildifier returns the command that formats the files given to it.
func buildifier(checkout fs.FS) (string, error) {
	content, err := fs.ReadFile(checkout, "go.mod")
	if err != nil {
		return "", err
	}
	mod, err := modfile.Parse("go.mod", content, nil)
	if err != nil {
		return "", err
	}
	for _, r := range mod.Require {
		if r.Mod.Path == buildtools {
			return fmt.Sprintf("go run %s/buildifier@%s -lint=off", buildtools, r.Mod.Version), nil
		}
	}
	return "", fmt.Errorf("go.mod does not require %s", buildtools)
}
