package bazel_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/bazel"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

var update = flag.Bool("update", false, "update the golden files")

// TestGolden runs every testdata/*.txtar. An archive contains a source tree and, below want/, the generated files
// ("(removed)" for a removed one), want/notes and want/error. The configuration is images/multiarch.yaml or
// multiarch.yaml. Files with the content "-> target" become symbolic links; names ending in a slash become directories.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			dir := t.TempDir()
			want := map[string]string{}
			var inputs []txtar.File
			for _, f := range archive.Files {
				if name, ok := strings.CutPrefix(f.Name, "want/"); ok {
					want[name] = string(f.Data)
					continue
				}
				inputs = append(inputs, f)
				place(t, dir, f)
			}
			got := generate(t, dir)
			// The files in platforms are the same in all cases.
			maps.DeleteFunc(got, func(name, _ string) bool { return strings.HasPrefix(name, "platforms/") })
			if *update {
				archive.Files = inputs
				for _, name := range []string{"error", "notes"} {
					if text, ok := got[name]; ok {
						archive.Files = append(archive.Files, txtar.File{Name: "want/" + name, Data: []byte(text)})
						delete(got, name)
					}
				}
				for _, name := range sorted(got) {
					archive.Files = append(archive.Files, txtar.File{Name: "want/" + name, Data: []byte(got[name])})
				}
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
				return
			}
			assert.Equal(t, want, got, "to update: go test ./tools/bazel -update")
			if _, failed := got["error"]; !failed {
				again := generate(t, dir)
				if notes, ok := again["notes"]; ok {
					assert.Equal(t, got["notes"], notes)
					delete(again, "notes")
				}
				assert.Empty(t, again, "generated files must not be stale")
			}
		})
	}
}

func place(t testing.TB, dir string, f txtar.File) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	target, link := strings.CutPrefix(strings.TrimSpace(string(f.Data)), "-> ")
	switch {
	case strings.HasSuffix(f.Name, "/"):
		require.NoError(t, os.MkdirAll(path, 0o755))
	case link:
		require.NoError(t, os.Symlink(target, path))
	default:
		mode := os.FileMode(0o644)
		if strings.HasPrefix(string(f.Data), "#!") {
			mode = 0o755
		}
		require.NoError(t, os.WriteFile(path, f.Data, mode))
	}
}

// generate writes stale files and returns them by path.
func generate(t testing.TB, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	files, notes, err := resolve(dir)
	if err != nil {
		got["error"] = strings.ReplaceAll(explain(err), dir, "$WORK") + "\n"
		return got
	}
	if len(notes) > 0 {
		got["notes"] = strings.Join(notes, "\n") + "\n"
	}
	for _, f := range files {
		if !f.Stale() {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if f.New == nil {
			got[f.Path] = "(removed)\n"
			require.NoError(t, os.Remove(path))
			continue
		}
		got[f.Path] = string(f.New)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.New, 0o644))
	}
	return got
}

func resolve(dir string) ([]bazel.File, []string, error) {
	file := filepath.Join(dir, "images", "multiarch.yaml")
	if _, err := os.Stat(file); err != nil {
		file = filepath.Join(dir, "multiarch.yaml")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	c, err := config.Parse(filepath.Base(file), content)
	if err != nil {
		return nil, nil, err
	}
	w, err := bazel.Resolve(bazel.Project{Config: c, File: file, Top: config.Top(file)})
	if err != nil {
		return nil, nil, err
	}
	files, err := w.Files()
	return files, w.Notes, err
}

func explain(err error) string {
	var errs config.Errors
	var hinting fault.Hinter
	if errors.As(err, &errs) {
		return errs.Error()
	}
	if errors.As(err, &hinting) {
		return fmt.Sprintf("%s\nhint: %s", err, hinting.Hint())
	}
	return err.Error()
}
