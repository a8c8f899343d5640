package layer_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"app/main.py": 0o644, "app/main_test.py": 0o644,
		"app/sub/run.sh": 0o700, "one": 0o600, "app/sub/deep/x.txt": 0o644} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), mode))
	}
	require.NoError(t, os.Symlink("main.py", filepath.Join(dir, "app/link")))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "empties/one/two"), 0o755))
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)

	for _, c := range []struct {
		source layer.Source
		want   []string
	}{
		{layer.Source{From: "one", To: "/etc/two"}, []string{"file /etc/two 644"}},
		{layer.Source{From: "./one", To: "/etc/"}, []string{"file /etc/one 644"}},
		{layer.Source{From: "one", To: "/etc/two", Mode: 0o4755, UID: 3, GID: 4}, []string{"file /etc/two 4755"}},
		{layer.Source{From: "app", To: "/app"}, []string{"symlink /app/link 777", "file /app/main.py 644",
			"file /app/main_test.py 644", "dir /app/sub 755", "dir /app/sub/deep 755",
			"file /app/sub/deep/x.txt 644", "file /app/sub/run.sh 755"}},
		{layer.Source{From: "app", To: "/", Glob: []string{"**/*.py", "!**/*_test.py"}}, []string{"file /main.py 644"}},
		{layer.Source{From: "app", To: "/x", Glob: []string{"!*.py", "!link"}},
			[]string{"file /x/sub/deep/x.txt 644", "file /x/sub/run.sh 755"}},
		{layer.Source{From: ".", To: "/all", Glob: []string{"one"}}, []string{"file /all/one 644"}},
		{layer.Source{From: "app", To: "/x", UID: 5, GID: 6, Glob: []string{"**/*.sh"}}, []string{"dir /x 755",
			"dir /x/sub 755", "file /x/sub/run.sh 755"}},
		{layer.Source{From: "app/sub/deep", To: "/state/", UID: 5}, []string{"dir /state 755",
			"file /state/x.txt 644"}},
		{layer.Source{From: "app/sub/deep", To: "/state", Mode: 0o640}, []string{"dir /state 750",
			"file /state/x.txt 640"}},
		{layer.Source{From: "app/sub", To: "/state", Mode: 0o4711}, []string{"dir /state 711",
			"dir /state/deep 711", "file /state/deep/x.txt 4711", "file /state/run.sh 4711"}},
		{layer.Source{From: "empties", To: "/e"}, []string{"dir /e/one 755", "dir /e/one/two 755"}},
	} {
		entries, err := layer.Collect(tree, c.source)
		require.NoError(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%s %s %o", e.Kind, e.Path, e.Mode))
			assert.Equal(t, []int{c.source.UID, c.source.GID}, []int{e.UID, e.GID})
		}
		assert.Equal(t, c.want, got)
		_, err = layer.Write(t.Context(), io.Discard, entries, layer.Options{})
		assert.NoError(t, err)
	}

	_, err = layer.Collect(tree, layer.Source{From: "app/nowhere/deeper", To: "/x"})
	var missing *layer.MissingError
	require.ErrorAs(t, err, &missing)
	assert.Contains(t, missing.Hint(), "app has ")
	assert.NotEmpty(t, missing.Has)
}

// TestCollectErrors checks that Check finds the same errors as Collect.
func TestCollectErrors(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "app", "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app", "main.py"), nil, 0o644))
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o644))
	for link, target := range map[string]string{
		"leak": outside, "up": "../elsewhere", "dangling": "app/gone", "app/sub/deep": "../../gone",
		"chain": "dangling", "fine": "app", "circle": "circle",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, filepath.FromSlash(link))))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "empty"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "whiteouts/.wh.dir"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "whiteouts/sub"), 0o755))
	for _, name := range []string{"sub/.wh.x", ".wh.dir/y", "fine"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "whiteouts", name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for _, c := range []struct {
		from, want string
		glob       []string
	}{
		{from: "app/main.py"},
		{from: "app"},
		{from: "fine"},
		{from: "fine/main.py"},
		{from: "nowhere", want: "nowhere does not exist"},
		{from: "fine/nowhere", want: "fine/nowhere does not exist"},
		{from: "app", glob: []string{"*.rb"}, want: "no file in app matches *.rb"},
		{from: "leak", want: "leak is a symbolic link to " + outside + ", outside the source tree"},
		{from: "up/there", want: "up is a symbolic link to ../elsewhere, outside the source tree"},
		{from: "dangling", want: "dangling is a symbolic link to app/gone, which does not exist"},
		{from: "app/sub/deep/x", want: "app/sub/deep is a symbolic link to ../../gone, which does not exist"},
		{from: "chain", want: "dangling is a symbolic link to app/gone, which does not exist"},
		{from: "circle", want: "reading circle: "},
		{from: "empty", want: "empty is an empty directory"},
		{from: "whiteouts", want: "whiteouts/.wh.dir: container runtimes interpret names with the prefix .wh."},
		{from: "whiteouts", glob: []string{"**/y"},
			want: "whiteouts/.wh.dir/y: container runtimes interpret names with the prefix .wh."},
		{from: "whiteouts", glob: []string{"**/*", "!**/.wh.*", "!**/.wh.*/**"}},
	} {
		_, err := layer.Collect(tree, layer.Source{From: c.from, To: "/x", Glob: c.glob})
		checked := layer.Check(tree, layer.Source{From: c.from, To: "/x", Glob: c.glob})
		if c.want == "" {
			assert.NoError(t, errors.Join(err, checked), c.from)
			continue
		}
		require.ErrorContains(t, err, c.want)
		assert.EqualError(t, checked, err.Error())
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		from, file string
		glob       []string
		want       bool
	}{
		{".", "dist/index.json", nil, true},
		{"./web", "web/dist/index.json", nil, true},
		{"dist", "dist/index.json", nil, true},
		{"dist/more", "dist/index.json", nil, false},
		{"web", "website/index.json", nil, false},
		{".", "dist/index.json", []string{"**/*.json"}, true},
		{".", "dist/index.json", []string{"*.json"}, false},
		{".", "dist/index.json", []string{"!dist/**"}, false},
		{"web", "web/dist/blobs/sha256/aa", []string{"dist/blobs/**"}, true},
	} {
		assert.Equal(t, c.want, layer.Source{From: c.from, Glob: c.glob}.Matches(c.file), c)
	}
}

// TestCollectSkipsGitMetadata walks a project with a checkout and a submodule.
func TestCollectSkipsGitMetadata(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		".git/config", ".git/objects/aa/bb", ".gitignore", ".github/x.yml", "lib/.git", "lib/a", "web/.git/HEAD",
		"dist/index.json",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for _, c := range []struct {
		source     layer.Source
		want       string
		wrong      string
		hintSaying string
	}{
		{source: layer.Source{From: ".", Glob: []string{"!dist/**"}},
			want: "/src/.github/x.yml /src/.gitignore /src/lib/a"},
		{source: layer.Source{From: "web"}, wrong: "web is an empty directory",
			hintSaying: "directories: [{path: /src}]"},
		{source: layer.Source{From: "lib"}, want: "/src/a"},
		{source: layer.Source{From: ".", Glob: []string{"*"}}, want: "/src/.gitignore"},
		// A .git that from: names is included.
		{source: layer.Source{From: ".git/config"}, want: "/src"},
		{source: layer.Source{From: "web/.git"}, want: "/src/HEAD"},
		{source: layer.Source{From: ".", Glob: []string{".git/config"}}, wrong: "no file in . matches .git/config",
			hintSaying: "unless from: is inside one"},
	} {
		c.source.To = "/src"
		entries, err := layer.Collect(tree, c.source)
		if c.wrong != "" {
			var hinting fault.Hinter
			require.ErrorAs(t, err, &hinting)
			assert.EqualError(t, err, c.wrong)
			assert.Contains(t, hinting.Hint(), c.hintSaying)
			continue
		}
		require.NoError(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, e.Path)
		}
		assert.Equal(t, c.want, strings.Join(got, " "), c.source)
	}
}

// TestCollectKeepsModesOfSystemDirectories copies a tree to the root, where directories have
// conventional modes.
func TestCollectKeepsModesOfSystemDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tmp/f", "bin/f", "etc/f"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	tree, err := os.OpenRoot(dir)
	require.NoError(t, err)
	for uid, want := range map[int][]string{
		0: {"dir /bin 755", "file /bin/f 644", "dir /etc 755", "file /etc/f 644", "dir /tmp 1777", "file /tmp/f 644"},
		7: {"dir /bin 755", "file /bin/f 644", "dir /etc 755", "file /etc/f 644", "dir /tmp 755", "file /tmp/f 644"},
	} {
		entries, err := layer.Collect(tree, layer.Source{From: ".", To: "/", UID: uid})
		require.NoError(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%s %s %o", e.Kind, e.Path, e.Mode))
			assert.Equal(t, uid, e.UID)
		}
		assert.Equal(t, want, got)
	}
}
