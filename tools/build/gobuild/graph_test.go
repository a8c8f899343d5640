package gobuild_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
)

// serveDep serves example.com/dep v1.0.0 and v1.1.0, whose Text is their version.
func serveDep(t *testing.T) {
	t.Helper()
	serveModules(t, map[string]string{
		"example.com/dep":        "package dep\n\nconst Text = \"v1.0.0\"\n",
		"example.com/dep@v1.1.0": "package dep\n\nconst Text = \"v1.1.0\"\n",
	})
}

// newProject returns a workspace with the given files, which include a program in ./a.
func newProject(t *testing.T, files map[string]string) *workspace {
	t.Helper()
	row, ok := arch.Find(arch.Platform{OS: "linux", Architecture: "amd64"})
	require.True(t, ok)
	w := &workspace{t: t, dir: t.TempDir(), cacheDir: t.TempDir(), log: filepath.Join(t.TempDir(), "log")}
	t.Setenv("GOWORK", "")
	for name, content := range files {
		w.write(name, content)
	}
	w.request = gobuild.Request{Row: row, Targets: []gobuild.Target{{Name: "app", Package: "./a"}}}
	return w
}

const (
	depProgram = "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Text) }\n"
	needs10    = "\n\ngo 1.24\n\nrequire example.com/dep v1.0.0\n"
	needs11    = "\n\ngo 1.24\n\nrequire example.com/dep v1.1.0\n"
)

// TestChangedModuleGraphIsDetected changes the selected version of a dependency outside the module of the program.
func TestChangedModuleGraphIsDetected(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		work   string // the value of GOWORK, relative to the tree
		change func(w *workspace)
	}{
		"another module of the workspace": {
			map[string]string{
				"go.work":  "go 1.24\n\nuse (\n\t./a\n\t./b\n)\n",
				"a/go.mod": "module example.com/a" + needs10,
				"b/go.mod": "module example.com/b" + needs10,
			},
			"", func(w *workspace) { w.write("b/go.mod", "module example.com/b"+needs11) },
		},
		"a use line of a workspace in another directory": {
			map[string]string{
				"other/my.work": "go 1.24\n\nuse ../a\n",
				"a/go.mod":      "module example.com/a" + needs10,
				"b/go.mod":      "module example.com/b" + needs11,
			},
			"other/my.work", func(w *workspace) { w.write("other/my.work", "go 1.24\n\nuse ../a\n\nuse ../b\n") },
		},
		"a module of a workspace in another directory": {
			map[string]string{
				"other/my.work": "go 1.24\n\nuse ../a\n\nuse ../b\n",
				"a/go.mod":      "module example.com/a" + needs10,
				"b/go.mod":      "module example.com/b" + needs10,
			},
			"other/my.work", func(w *workspace) { w.write("b/go.mod", "module example.com/b"+needs11) },
		},
		"a replacement of the workspace": {
			map[string]string{
				"go.work":  "go 1.24\n\nuse ./a\n\nreplace example.com/c => ./c\n",
				"a/go.mod": "module example.com/a" + needs10 + "require example.com/c v0.0.0\n",
				"c/go.mod": "module example.com/c" + needs10,
				"c/c.go":   "package c\n",
			},
			"", func(w *workspace) { w.write("c/go.mod", "module example.com/c"+needs11) },
		},
		"a new workspace": {
			map[string]string{"go.mod": "module example.com/top" + needs10, "b/go.mod": "module example.com/b" + needs11},
			"", func(w *workspace) {
				t.Setenv("GOFLAGS", "")
				w.write("go.work", "go 1.24\n\nuse (\n\t.\n\t./b\n)\n")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			serveDep(t)
			w := newProject(t, c.files)
			w.write("a/main.go", depProgram)
			if c.work != "" {
				t.Setenv("GOWORK", filepath.Join(w.dir, c.work))
			}
			if _, err := os.Stat(filepath.Join(w.dir, "go.mod")); err != nil {
				t.Setenv("GOFLAGS", "") // workspaces reject -mod=mod
			}
			for range 2 {
				binary, _, err := w.build()
				require.NoError(t, err)
				require.Equal(t, "v1.0.0", outputOf(t, binary))
			}
			c.change(w)
			binary, _, err := w.build()
			require.NoError(t, err)
			run := exec.Command("go", "run", "./a")
			run.Dir = w.dir
			want, err := run.CombinedOutput()
			require.NoError(t, err, string(want))
			require.Equal(t, "v1.1.0\n", string(want))
			assert.Equal(t, "v1.1.0", outputOf(t, binary))
		})
	}
}

// TestChangedVendorDirectoryIsDetected updates a vendored dependency.
func TestChangedVendorDirectoryIsDetected(t *testing.T) {
	w := newProject(t, map[string]string{
		"go.mod": "module example.com/top" + needs10, "a/main.go": depProgram,
		"vendor/modules.txt":            "# example.com/dep v1.0.0\n## explicit; go 1.24\nexample.com/dep\n",
		"vendor/example.com/dep/dep.go": "package dep\n\nconst Text = \"v1.0.0\"\n",
	})
	t.Setenv("GOFLAGS", "")
	for range 2 {
		binary, _, err := w.build()
		require.NoError(t, err)
		require.Equal(t, "v1.0.0", outputOf(t, binary))
	}
	w.write("vendor/example.com/dep/dep.go", "package dep\n\nconst Text = \"v1.1.0\"\n")
	binary, _, err := w.build()
	require.NoError(t, err)
	assert.Equal(t, "v1.1.0", outputOf(t, binary))
	w.write("vendor/modules.txt", "# example.com/dep v1.1.0\n## explicit; go 1.24\nexample.com/dep\n")
	_, _, err = w.build()
	assert.ErrorContains(t, err, "inconsistent vendoring", "go.mod and vendor/modules.txt no longer agree")
}

// TestTreeWithInvalidUTF8Path builds in a directory whose name is not UTF-8. The go command reports wrong paths for
// it, but changes must be detected.
func TestTreeWithInvalidUTF8Path(t *testing.T) {
	w := newProject(t, nil)
	w.dir = filepath.Join(w.dir, "tree-\xff")
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Skip("this file system only supports UTF-8 names")
	}
	t.Setenv("GOFLAGS", "")
	w.write("go.mod", "module example.com/top\n\ngo 1.24\n")
	for _, text := range []string{"one", "one", "two"} {
		w.write("a/main.go", "package main\n\nfunc main() { println(\""+text+"\") }\n")
		binary, _, err := w.build()
		require.NoError(t, err)
		assert.Equal(t, text, outputOf(t, binary))
	}
}

// TestDamagedProgramsAreCompiledAgain damages compiled programs. The go command would keep them, because their build
// IDs are right.
func TestDamagedProgramsAreCompiledAgain(t *testing.T) {
	w := newWorkspace(t)
	first, _, err := w.build()
	require.NoError(t, err)
	for name, damage := range map[string]func() error{
		"truncated": func() error { return os.Truncate(first.Path, first.Size/2) },
		"longer":    func() error { return os.Truncate(first.Path, first.Size+1) },
	} {
		for _, records := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				require.NoError(t, damage())
				if !records {
					require.NoError(t, os.RemoveAll(filepath.Join(w.cacheDir, "records")))
				}
				again, _, err := w.build()
				require.NoError(t, err)
				assert.Equal(t, first, again)
				assert.Equal(t, "a dep none plain", outputOf(t, again))
				store, err := cache.Open(w.cacheDir)
				require.NoError(t, err)
				damaged, err := gobuild.CheckPrograms(t.Context(), store)
				require.NoError(t, err)
				assert.Empty(t, damaged)
			})
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(first.Path), "other"), []byte("x"), 0o755))
	store, err := cache.Open(w.cacheDir)
	require.NoError(t, err)
	damaged, err := gobuild.CheckPrograms(t.Context(), store)
	require.NoError(t, err)
	require.Len(t, damaged, 1, "a program without a record")
	assert.Equal(t, filepath.Join(filepath.Dir(first.Path), "other"), damaged[0].Path)
}
