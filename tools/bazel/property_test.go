package bazel_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bazelbuild/bazel-gazelle/label"
	"github.com/bazelbuild/bazel-gazelle/rule"
	bzl "github.com/bazelbuild/buildtools/build"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// TestFilesMatchEmbeddedEngine generates rules for random trees and patterns, evaluates them as Bazel would, and
// compares the result with layer.Collect.
func TestFilesMatchEmbeddedEngine(t *testing.T) {
	patterns := []string{
		"**", "*", "*.py", "**/*.py", "a/**", "a/*", "**/a/*", "a*/**", "**/b/**/*.py", "x.py", "**/BUILD", "*/*",
		"a/.*", "**/*a*/*",
	}
	names := []string{"a", "b", "aa", ".a", "x.py", ".x.py", "y.txt", "BUILD"}
	compared := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		write := func(name, content string) {
			file := filepath.Join(dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			mode := []os.FileMode{0o644, 0o755, 0o711}[random.IntN(3)]
			require.NoError(t, os.WriteFile(file, []byte(content), mode))
		}
		write("MODULE.bazel", "module(name = \"m\")\n")
		for range 1 + random.IntN(12) {
			p := "top"
			for range random.IntN(4) {
				p = path.Join(p, names[random.IntN(4)])
			}
			write(path.Join(p, names[4+random.IntN(4)]), "")
		}
		var globs []string
		for range random.IntN(4) {
			globs = append(globs, patterns[random.IntN(len(patterns))])
		}
		for range random.IntN(3) {
			globs = append(globs, "!"+patterns[random.IntN(len(patterns))])
		}
		to := []string{"/", "/x", "/x/y/"}[random.IntN(3)]
		glob := ""
		if globs != nil {
			glob = fmt.Sprintf(", glob: [\"%s\"]", strings.Join(globs, `", "`))
		}
		write("images/multiarch.yaml", fmt.Sprintf("version: 1\nplatforms: [linux/amd64]\n"+
			"images: {i: {files: [{from: top, to: %s%s}]}}\n", to, glob))

		got := generate(t, dir)
		// Generation changes the content of build files, but not the set of files.
		tree, err := os.OpenRoot(dir)
		require.NoError(t, err)
		entries, err := layer.Collect(tree, layer.Source{From: "top", To: to, Glob: globs})
		if err != nil {
			assert.Contains(t, got["error"], "no file in top matches", "seed %d: %v", seed, err)
			continue
		}
		require.NotContains(t, got, "error", "seed %d", seed)
		var want []string
		for _, e := range entries {
			if e.Kind == layer.File {
				want = append(want, fmt.Sprintf("%s %04o", e.Path, e.Mode))
			}
		}
		slices.Sort(want)
		require.Equal(t, want, asBazelReads(t, dir, got["images/BUILD.bazel"]), "seed %d: %s %v", seed, to, globs)
		compared++
	}
	require.Greater(t, compared, 100)
}

// asBazelReads returns the paths and modes in the image that Bazel would derive from the rules of the image's files.
func asBazelReads(t *testing.T, dir, images string) []string {
	t.Helper()
	f, err := bzl.ParseBuild("BUILD", []byte(images))
	require.NoError(t, err)
	var all []string
	for _, s := range f.Rules("multiarch_image")[0].AttrStrings("files") {
		l, err := label.Parse(s)
		require.NoError(t, err)
		pkg := filepath.Join(dir, l.Pkg)
		content, err := os.ReadFile(filepath.Join(pkg, "BUILD.bazel"))
		if err != nil {
			content, err = os.ReadFile(filepath.Join(pkg, "BUILD"))
		}
		require.NoError(t, err)
		build, err := bzl.ParseBuild("BUILD", content)
		require.NoError(t, err)
		r := build.RuleNamed(l.Name)
		require.NotNil(t, r, s)
		require.Equal(t, []string{"//images:__pkg__"}, r.AttrStrings("visibility"))
		for _, p := range globbed(t, pkg, r.Attr("srcs").(*bzl.CallExpr)) {
			below, ok := strings.CutPrefix(p, r.AttrString("strip_prefix"))
			require.True(t, ok)
			require.True(t, strings.HasSuffix(r.AttrString("to"), "/"))
			mode := 0o644
			if slices.Contains(r.AttrStrings("executable"), p) {
				mode = 0o755
			}
			all = append(all, fmt.Sprintf("%s %04o", path.Join(r.AttrString("to"), below), mode))
		}
	}
	slices.Sort(all)
	return all
}

// globbed matches like Bazel's UnixGlob: ** matches any number of directories, a leading * matches no dot unless it is
// the whole name, and subpackages are skipped.
func globbed(t *testing.T, pkg string, call *bzl.CallExpr) []string {
	t.Helper()
	include := bzl.Strings(call.List[0])
	var exclude []string
	if len(call.List) > 1 {
		exclude = bzl.Strings(call.List[1].(*bzl.AssignExpr).RHS)
	}
	require.NotEmpty(t, include)
	var all []string
	var walk func(string)
	walk = func(dir string) {
		entries, err := os.ReadDir(filepath.Join(pkg, dir))
		require.NoError(t, err)
		for _, e := range entries {
			p := path.Join(dir, e.Name())
			_, build := os.Stat(filepath.Join(pkg, p, "BUILD"))
			_, suffixed := os.Stat(filepath.Join(pkg, p, "BUILD.bazel"))
			switch {
			case e.IsDir() && build != nil && suffixed != nil:
				walk(p)
			case e.IsDir():
			default:
				matches := func(pattern string) bool { return unixGlob(strings.Split(pattern, "/"), strings.Split(p, "/")) }
				if slices.ContainsFunc(include, matches) && !slices.ContainsFunc(exclude, matches) {
					all = append(all, p)
				}
			}
		}
	}
	walk("")
	require.NotEmpty(t, all, "Bazel refuses a glob without files")
	return all
}

func unixGlob(pattern, names []string) bool {
	switch {
	case len(pattern) == 0:
		return len(names) == 0
	case pattern[0] == "**":
		return unixGlob(pattern[1:], names) || len(names) > 0 && unixGlob(pattern, names[1:])
	case len(names) == 0:
		return false
	case names[0][0] == '.' && pattern[0][0] != '.' && pattern[0] != "*":
		return false
	}
	one := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern[0]), `\*`, ".*") + "$")
	return one.MatchString(names[0]) && unixGlob(pattern[1:], names[1:])
}

// FuzzMerge merges into arbitrary build files. The result must parse, contain the image, and not be stale.
func FuzzMerge(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	require.NoError(f, err)
	require.NotEmpty(f, cases)
	for _, file := range cases {
		archive, err := txtar.ParseFile(file)
		require.NoError(f, err)
		for _, one := range archive.Files {
			if strings.HasPrefix(path.Base(one.Name), "BUILD") {
				f.Add(string(one.Data))
			}
		}
	}
	for _, one := range []string{
		"multiarch_image(\n    name = \"i\",\n    env = DEFAULTS | {\"A\": \"b\"},\n" +
			"    files = [\"x\"] + select({\"//conditions:default\": []}),\n)\n",
		"multiarch_image(\n    name = \"i\",\n    overrides = {\n" +
			"        \"linux/amd64\": {\"env\": {\n            \"K\": \"v\",  # keep\n        }},\n    },\n)\n",
		"multiarch_image(name = \"i\", platforms = [\"a\", \"a\"])\nmultiarch_image(name = \"j\", files = glob([\"x\"]))",
		"\"\"\"Doc.\"\"\"\n\n# Comment.\n\nx = 1\n",
		"# keep\nmultiarch_image(name = \"i\")",
		"multiarch_files(name = \"i_files\", srcs = glob(include = [\"q\"], allow_empty = True))",
		"x = \"\\\u4e16\"",
		"load(\":x.bzl\", multiarch_image = \"other\")\nmultiarch_image(name = \"i\", user = \"1\")  # keep",
	} {
		f.Add(one)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Go's fuzzer has no timeout per input.
		defer time.AfterFunc(time.Minute, func() { panic("timeout: " + strconv.Quote(text)) }).Stop()
		dir := t.TempDir()
		for name, content := range map[string]string{
			"MODULE.bazel":       "module(name = \"m\")\n",
			"images/BUILD.bazel": text,
			"images/data/x":      "",
			"app/main.go":        "package main\n",
			"images/multiarch.yaml": "version: 1\nplatforms: [linux/amd64, linux/arm64]\n" +
				"images: {i: {go: {package: ./app, tags: [x]}, files: [{from: images/data, to: /x}], env: {A: b}, overrides: " +
				"{linux/arm64: {env: {A: c}, cmd: [a, a]}}}}\n",
		} {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
		}
		if !formatsOnce(text) {
			t.Skip("buildtools does not format it idempotently")
		}
		got := generate(t, dir)
		if _, failed := got["error"]; failed {
			now, err := os.ReadFile(filepath.Join(dir, "images/BUILD.bazel"))
			require.NoError(t, err)
			require.Equal(t, text, string(now), "files must not change on errors")
			return
		}
		now, err := os.ReadFile(filepath.Join(dir, "images/BUILD.bazel"))
		require.NoError(t, err)
		parsed, err := rule.LoadData("BUILD.bazel", "images", now)
		require.NoError(t, err, string(now))
		require.True(t, slices.ContainsFunc(parsed.Rules, func(r *rule.Rule) bool {
			return r.Name() == "i" && r.Kind() == "multiarch_image"
		}), string(now))
		again := generate(t, dir)
		delete(again, "notes")
		require.Empty(t, again, string(now))
	})
}

// formatsOnce reports whether formatting a file is idempotent. It is not for some files that Bazel would reject.
func formatsOnce(text string) (once bool) {
	// tools/bazel must report input that makes buildtools panic as an error.
	defer func() { once = once || recover() != nil }()
	first, err := bzl.ParseBuild("BUILD", []byte(text))
	if err != nil {
		return true
	}
	formatted := bzl.Format(first)
	second, err := bzl.ParseBuild("BUILD", formatted)
	return err == nil && string(bzl.Format(second)) == string(formatted)
}
