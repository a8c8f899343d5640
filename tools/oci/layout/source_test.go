package layout_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// TestRefuseLayoutsOfEarlierBuilds collects files from a project with the layout of an earlier build in dist, and one
// that another tool wrote.
func TestRefuseLayoutsOfEarlierBuilds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"a", "dist/oci-layout", "dist/index.json", "dist/.multiarch.lock", "dist/blobs/sha256/aa", "theirs/oci-layout",
		"theirs/index.json",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for _, c := range []struct {
		from             string
		glob             []string
		want, wrong, tip string
	}{
		{from: ".", glob: []string{"!dist/**"}, want: "/src/a /src/theirs/index.json /src/theirs/oci-layout"},
		{from: "theirs", want: "/src/index.json /src/oci-layout"},
		{
			from: "dist",
			want: "/src/.multiarch.lock /src/blobs /src/blobs/sha256 /src/blobs/sha256/aa /src/index.json /src/oci-layout",
		},
		{from: ".", wrong: ". contains dist, an OCI layout that multiarch wrote", tip: `glob: ["!dist/**"]`},
		{
			from:  "./",
			glob:  []string{"**/*.json"},
			wrong: "./ contains dist, an OCI layout that multiarch wrote",
			tip:   "--output",
		},
	} {
		source := layer.Source{From: c.from, To: "/src", Glob: c.glob, Refuse: layout.Refuse(c.from)}
		entries, err := layer.Collect(tree, source)
		if c.wrong != "" {
			var refused *layout.SourceError
			require.ErrorAs(t, err, &refused)
			assert.EqualError(t, err, c.wrong)
			assert.Contains(t, refused.Hint(), c.tip)
			continue
		}
		require.NoError(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, e.Path)
		}
		assert.Equal(t, c.want, strings.Join(got, " "), c)
	}
}

func TestFilesOfALayoutAreTaken(t *testing.T) {
	for _, c := range []struct {
		from string
		glob []string
		want bool
	}{
		{from: ".", want: true},
		{from: "dist", want: true},
		{from: "dist/more"},
		{from: ".", glob: []string{"*.json"}},
		{from: ".", glob: []string{"dist/blobs/**"}, want: true},
	} {
		takes := layer.Source{From: c.from, Glob: c.glob}.Matches
		assert.Equal(t, c.want, slices.ContainsFunc(layout.Files("dist"), takes), c)
	}
}
