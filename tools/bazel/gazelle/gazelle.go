// Package gazelle is a Gazelle extension: with it, `bazel run //:gazelle` writes the same files as
// `multiarch generate`.
//
// The configuration is multiarch.yaml or images/multiarch.yaml in the workspace root. A directive in the root's build
// file overrides it: # gazelle:multiarch services/multiarch.yaml
package gazelle

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gazelleconfig "github.com/bazelbuild/bazel-gazelle/config"
	"github.com/bazelbuild/bazel-gazelle/language"
	"github.com/bazelbuild/bazel-gazelle/rule"

	"github.com/multiarch-build/multiarch/tools/bazel"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

const name = "multiarch"

// NewLanguage returns the extension. gazelle_binary calls it.
func NewLanguage() language.Language { return &extension{} }

// extension implements Gazelle's interfaces for a project.
type extension struct {
	language.BaseLang
	command   string
	workspace *bazel.Workspace // nil if there is no multiarch.yaml
	writes    bool             // whether Gazelle writes files, unlike with -mode=diff or -mode=print
}

var (
	_ language.Language            = (*extension)(nil)
	_ language.ModuleAwareLanguage = (*extension)(nil)
)

func (e *extension) Name() string { return name }

func (e *extension) KnownDirectives() []string { return []string{name} }

func (e *extension) RegisterFlags(_ *flag.FlagSet, command string, _ *gazelleconfig.Config) {
	e.command = command
}

// CheckFlags derives all rules. It creates missing build files with their initial comments, because Gazelle visits only
// existing directories.
func (e *extension) CheckFlags(flags *flag.FlagSet, c *gazelleconfig.Config) error {
	mode := flags.Lookup("mode")
	e.writes = mode == nil || mode.Value.String() == "fix"
	if e.command != "fix" && e.command != "update" {
		return nil
	}
	file, err := findConfig(c)
	if err != nil || file == "" {
		return err
	}
	if e.workspace, err = resolveChecked(file); err != nil {
		return withHint(err)
	}
	for _, n := range e.workspace.Notes {
		log.Printf("note: %s", n)
	}
	if !e.writes {
		return e.checkOtherFiles()
	}
	if err := e.writeOtherFiles(); err != nil {
		return err
	}
	for _, pkg := range e.workspace.Packages() {
		file, content, err := e.workspace.WithDirective(pkg)
		if err == nil && content != nil {
			err = os.WriteFile(filepath.Join(e.workspace.Root, filepath.FromSlash(file)), content, 0o644)
		}
		if err != nil {
			return withHint(err)
		}
		dir := filepath.Join(e.workspace.Root, filepath.FromSlash(pkg))
		if content := e.workspace.NewBuildFile(pkg); len(content) > 0 && !hasBuild(dir, c.ValidBuildFileNames) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, c.DefaultBuildFileName()), content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// findConfig returns the path of the configuration, or "" if there is none.
func findConfig(c *gazelleconfig.Config) (string, error) {
	for _, build := range c.ValidBuildFileNames {
		f, err := rule.LoadFile(filepath.Join(c.RepoRoot, build), "")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		for _, d := range f.Directives {
			if d.Key == name {
				return filepath.Join(c.RepoRoot, filepath.FromSlash(d.Value)), nil
			}
		}
		break
	}
	for _, candidate := range []string{"multiarch.yaml", "images/multiarch.yaml"} {
		file := filepath.Join(c.RepoRoot, filepath.FromSlash(candidate))
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", nil
}

func resolve(file string) (*bazel.Workspace, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	c, err := config.Parse(file, content)
	if err != nil {
		return nil, err
	}
	return bazel.Resolve(bazel.Project{Config: c, File: file, Top: config.Top(file)})
}

// resolveChecked resolves a configuration and reports all errors in it and in existing build files. It is needed
// because GenerateRules cannot return an error.
func resolveChecked(file string) (*bazel.Workspace, error) {
	probe, err := resolve(file) // a separate workspace, because rules can be merged only once
	if err != nil {
		return nil, err
	}
	if _, err := probe.Files(); err != nil {
		return nil, err
	}
	return resolve(file)
}

// withHint appends an error's hint to its text, because Gazelle prints only Error().
func withHint(err error) error {
	if hint := fault.HintOf(err); hint != "" {
		return fmt.Errorf("%w\nhint: %s", err, hint)
	}
	return err
}

func hasBuild(dir string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		info, err := os.Stat(filepath.Join(dir, n))
		return err == nil && info.Mode().IsRegular()
	})
}

// Kinds leaves go_binary and alias to Gazelle's Go extension.
func (e *extension) Kinds() map[string]rule.KindInfo {
	kinds := bazel.Kinds()
	delete(kinds, "go_binary")
	delete(kinds, "alias")
	return kinds
}

// Loads is used in workspaces without MODULE.bazel.
func (e *extension) Loads() []rule.LoadInfo {
	return withoutGo(bazel.Loads(func(module string) string { return "@" + module }))
}

// ApparentLoads uses the repository names of MODULE.bazel.
func (e *extension) ApparentLoads(apparent func(string) string) []rule.LoadInfo {
	if e.workspace != nil {
		return withoutGo(e.workspace.Loads())
	}
	return withoutGo(bazel.Loads(func(module string) string {
		if name := apparent(module); name != "" {
			return "@" + name
		}
		return "@" + module
	}))
}

func withoutGo(loads []rule.LoadInfo) []rule.LoadInfo {
	return slices.DeleteFunc(
		slices.Clone(loads),
		func(l rule.LoadInfo) bool { return strings.HasSuffix(l.Name, "//go:def.bzl") },
	)
}

// GenerateRules returns the rules of a package for Gazelle to merge. New rules are already in the file.
func (e *extension) GenerateRules(args language.GenerateArgs) (result language.GenerateResult) {
	if e.workspace == nil {
		return result
	}
	gen, empty, err := e.workspace.Rules(args.Rel, args.File)
	if err != nil {
		log.Print(withHint(err)) // only possible if the file changed after CheckFlags
		return result
	}
	return language.GenerateResult{Gen: gen, Empty: empty, Imports: make([]any, len(gen))}
}

// writeOtherFiles writes generated files that are not build files.
func (e *extension) writeOtherFiles() error {
	files, err := e.workspace.OtherFiles()
	if err != nil {
		return withHint(err)
	}
	for _, f := range files {
		if !f.Stale() {
			continue
		}
		file := filepath.Join(e.workspace.Root, filepath.FromSlash(f.Path))
		if f.New == nil {
			err = os.Remove(file)
		} else if err = os.MkdirAll(filepath.Dir(file), 0o755); err == nil {
			err = os.WriteFile(file, f.New, 0o644)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
	}
	return nil
}

// checkOtherFiles reports stale files that are not build files, for which Gazelle prints no diff.
func (e *extension) checkOtherFiles() error {
	files, err := e.workspace.OtherFiles()
	if err != nil {
		return withHint(err)
	}
	var stale []string
	for _, f := range files {
		if f.Stale() {
			stale = append(stale, f.Path)
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("stale: %s\nhint: run: bazel run //:gazelle", strings.Join(stale, ", "))
	}
	return nil
}
