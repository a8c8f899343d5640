package gazelle_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gazelleconfig "github.com/bazelbuild/bazel-gazelle/config"
	"github.com/bazelbuild/bazel-gazelle/language"
	golang "github.com/bazelbuild/bazel-gazelle/language/go"
	"github.com/bazelbuild/bazel-gazelle/merger"
	"github.com/bazelbuild/bazel-gazelle/resolve"
	"github.com/bazelbuild/bazel-gazelle/rule"
	"github.com/bazelbuild/bazel-gazelle/walk"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/bazel/gazelle"
)

// run does what `gazelle update` does with the extension: walk, generate, merge, resolve, fix loads, save. It generates
// no Go rules, so that only rules of the extension change, but it uses Gazelle's information about their kinds.
func run(t *testing.T, dir, mode string) error {
	t.Helper()
	c := gazelleconfig.New()
	flags := flag.NewFlagSet("gazelle", flag.ContinueOnError)
	flags.String("mode", "fix", "")
	lang := gazelle.NewLanguage()
	configurers := []gazelleconfig.Configurer{
		&gazelleconfig.CommonConfigurer{}, &walk.Configurer{}, &resolve.Configurer{}, lang,
	}
	for _, one := range configurers {
		one.RegisterFlags(flags, "update", c)
	}
	require.NoError(t, flags.Parse([]string{"-repo_root=" + dir, "-mode=" + mode}))
	for _, one := range configurers {
		if err := one.CheckFlags(flags, c); err != nil {
			return err
		}
	}
	kinds := golang.NewLanguage().Kinds()
	for k, info := range lang.Kinds() {
		kinds[k] = info
	}
	apparent := func(module string) string { return module }
	loads := append(golang.NewLanguage().(language.ModuleAwareLanguage).ApparentLoads(apparent),
		lang.(language.ModuleAwareLanguage).ApparentLoads(apparent)...)
	type visit struct {
		file *rule.File
		gen  []*rule.Rule
	}
	var visits []visit
	visitDir := func(
		dir, rel string, c *gazelleconfig.Config, _ bool, f *rule.File, subdirs, files, generated []string,
	) {
		result := lang.GenerateRules(language.GenerateArgs{
			Config:       c,
			Dir:          dir,
			Rel:          rel,
			File:         f,
			Subdirs:      subdirs,
			RegularFiles: files,
			GenFiles:     generated,
		})
		require.Len(t, result.Imports, len(result.Gen))
		if f == nil && len(result.Gen) == 0 {
			return
		}
		if f == nil {
			f = rule.EmptyFile(filepath.Join(dir, c.DefaultBuildFileName()), rel)
		}
		merger.MergeFile(f, result.Empty, result.Gen, merger.PreResolve, kinds, nil)
		visits = append(visits, visit{f, result.Gen})
	}
	walk.Walk(c, configurers, []string{c.RepoRoot}, walk.VisitAllUpdateSubdirsMode, visitDir)
	for _, v := range visits {
		merger.MergeFile(v.file, nil, v.gen, merger.PostResolve, kinds, nil)
		merger.FixLoads(v.file, loads)
		if mode == "fix" {
			require.NoError(t, v.file.Save(v.file.Path))
		}
	}
	return nil
}

// snapshot reads all regular files of a tree.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		require.NoError(t, err)
		content, err := os.ReadFile(p)
		all[filepath.ToSlash(rel)] = string(content)
		return err
	}))
	return all
}

// TestGazelleMatchesGenerate runs the golden cases of tools/bazel and expects the same files.
func TestGazelleMatchesGenerate(t *testing.T) {
	cases, err := filepath.Glob("../testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	ran := 0
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			dir := t.TempDir()
			want, failure := map[string]string{}, ""
			for _, f := range archive.Files {
				name, golden := strings.CutPrefix(f.Name, "want/")
				path := filepath.Join(dir, f.Name)
				target, link := strings.CutPrefix(strings.TrimSpace(string(f.Data)), "-> ")
				switch {
				case golden && name == "error":
					failure = string(f.Data)
				case golden && name == "notes":
				case golden && string(f.Data) == "(removed)\n":
					delete(want, name)
				case golden:
					want[name] = string(f.Data)
				case strings.HasSuffix(f.Name, "/"):
					require.NoError(t, os.MkdirAll(path, 0o755))
				default:
					require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
					if link {
						require.NoError(t, os.Symlink(target, path))
						continue
					}
					want[f.Name] = string(f.Data)
					mode := os.FileMode(0o644)
					if strings.HasPrefix(string(f.Data), "#!") {
						mode = 0o755
					}
					require.NoError(t, os.WriteFile(path, f.Data, mode))
				}
			}
			before := snapshot(t, dir)
			err = run(t, dir, "fix")
			if failure != "" {
				first, _, _ := strings.Cut(failure, "\n")
				first = strings.TrimPrefix(strings.ReplaceAll(first, "$WORK", dir), "multiarch.yaml")
				assert.ErrorContains(t, err, first)
				assert.Equal(t, before, snapshot(t, dir), "files must not change on errors")
				return
			}
			require.NoError(t, err)
			got := snapshot(t, dir)
			for name := range got {
				if strings.HasPrefix(name, "platforms/") {
					assert.NotEmpty(t, got[name])
					delete(got, name) // the same in all cases; tools/bazel compares them with the table
				}
			}
			assert.Equal(t, formatted(t, want), got)
			after := snapshot(t, dir)
			require.NoError(t, run(t, dir, "fix"))
			assert.Equal(t, after, snapshot(t, dir), "a second run must not change files")
			ran++
		})
	}
	assert.Greater(t, ran, 5)
}

// formatted formats the build files of a golden case, as Gazelle does.
func formatted(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	for name, content := range files {
		if base := filepath.Base(name); base == "BUILD" || base == "BUILD.bazel" {
			f, err := rule.LoadData(name, "", []byte(content))
			require.NoError(t, err)
			files[name] = string(f.Format())
		}
	}
	return files
}

func TestDirectiveSelectsConfiguration(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"MODULE.bazel": "module(name = \"m\")\n", "BUILD.bazel": "# gazelle:multiarch deploy/services.yaml\n",
		"deploy/services.yaml": "version: 1\nplatforms: [linux/amd64]\nimages: {a: {bazel: //x}}\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	before := snapshot(t, dir)
	require.NoError(t, run(t, dir, "diff"))
	assert.Equal(t, before, snapshot(t, dir), "diff mode must not write files")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "MODULE.bazel"), []byte("module(name = \"multiarch\")\n"), 0o644))
	assert.EqualError(t, run(t, dir, "diff"), "stale: platforms/platforms.bzl\nhint: run: bazel run //:gazelle")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "MODULE.bazel"), []byte(before["MODULE.bazel"]), 0o644))
	require.NoError(t, run(t, dir, "fix"))
	assert.Contains(t, snapshot(t, dir)["deploy/BUILD.bazel"], "multiarch_image(")
	assert.Contains(t, snapshot(t, dir)["deploy/BUILD.bazel"], "multiarch_push(")
}

func TestNoConfigurationChangesNothing(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o644))
	require.NoError(t, run(t, dir, "fix"))
	assert.Len(t, snapshot(t, dir), 1)
}
