package tools_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bazelbuild/buildtools/build"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// publicLibraries are the libraries that other Bazel modules depend on. The programs that rules run are go_binary
// rules, which this test does not look at.
var publicLibraries = []string{"tools/bazel/gazelle"}

// TestVisibilityMatchesImports compares the visibility of each go_library with the packages that may import it
// according to mayImport, and with the packages whose tests import it. To write it: go test ./tools -run Visibility
// -update
func TestVisibilityMatchesImports(t *testing.T) {
	all := list(t)
	importers := map[string]map[string]bool{}
	allow := func(imported, importer string) {
		if imported != importer {
			if importers[imported] == nil {
				importers[imported] = map[string]bool{}
			}
			importers[imported]["//"+importer+":__pkg__"] = true
		}
	}
	for path, imports := range mayImport {
		for _, imported := range imports {
			allow(imported, path)
		}
	}
	for path, p := range all {
		for _, i := range slices.Concat(p.TestImports, p.XTestImports) {
			if imported, ours := strings.CutPrefix(i, module); ours {
				allow(imported, path)
			}
		}
	}
	for path, p := range all {
		if p.Name == "main" || strings.Contains(path, "/internal/") {
			continue // Gazelle makes libraries of programs private, and restricts internal packages to their parent
		}
		want := slices.Sorted(maps.Keys(importers[path]))
		switch {
		case slices.Contains(publicLibraries, path):
			want = []string{"//visibility:public"}
		case len(want) == 0:
			want = []string{"//visibility:private"}
		}
		compareVisibility(t, filepath.Join("..", filepath.FromSlash(path), "BUILD.bazel"), want)
	}
}

func compareVisibility(t *testing.T, file string, want []string) {
	content, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return // .ci/bazel-checks reports missing build files
	}
	require.NoError(t, err)
	parsed, err := build.ParseBuild(file, content)
	require.NoError(t, err)
	for _, library := range parsed.Rules("go_library") {
		if !*update {
			assert.ElementsMatch(t, want, library.AttrStrings("visibility"),
				"%s: to write the visibility: go test ./tools -run Visibility -update", file)
			continue
		}
		labels := &build.ListExpr{}
		for _, label := range want {
			labels.List = append(labels.List, &build.StringExpr{Value: label})
		}
		library.SetAttr("visibility", labels)
	}
	if updated := build.Format(parsed); *update && !bytes.Equal(updated, content) {
		require.NoError(t, os.WriteFile(file, updated, 0o644))
	}
}
