// Package gazelle is a language of Gazelle: with it, `bazel run //:gazelle` writes what `multiarch generate` writes.
//
// The configuration is multiarch.yaml or images/multiarch.yaml in the workspace root, or the file that a directive in
// the root's build file names: # gazelle:multiarch services/multiarch.yaml
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
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

const name = "multiarch"

// NewLanguage is what gazelle_binary calls.
func NewLanguage() language.Language { return &extension{} }

// extension is Gazelle's view of a project.
type extension struct {
	language.BaseLang
	command   string
	workspace *bazel.Workspace // nil where there is no multiarch.yaml
	writes    bool             // Gazelle was not asked for a diff or a print
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

// CheckFlags works out all rules. It makes the build files that are missing, since Gazelle visits only directories that
// are there, and would know no comment for a new file.
func (e *extension) CheckFlags(flags *flag.FlagSet, c *gazelleconfig.Config) error {
	mode := flags.Lookup("mode")
	e.writes = mode == nil || mode.Value.String() == "fix"
	if e.command != "fix" && e.command != "update" {
		return nil
	}
	file, err := find(c)
	if err != nil || file == "" {
		return err
	}
	if e.workspace, err = checked(file); err != nil {
		return explained(err)
	}
	for _, n := range e.workspace.Notes {
		log.Printf("note: %s", n)
	}
	if !e.writes {
		return e.stale()
	}
	if err := e.others(); err != nil {
		return err
	}
	for _, pkg := range e.workspace.Packages() {
		dir := filepath.Join(e.workspace.Root, filepath.FromSlash(pkg))
		if content := e.workspace.New(pkg); len(content) > 0 && !hasBuild(dir, c.ValidBuildFileNames) {
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

// find returns the configuration's path, "" where there is none.
func find(c *gazelleconfig.Config) (string, error) {
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

// checked resolves a configuration, and returns everything that is wrong with it and with the build files as they stand:
// when Gazelle asks for the rules of a package, it takes no error for an answer.
func checked(file string) (*bazel.Workspace, error) {
	probe, err := resolve(file) // rules can be merged once only
	if err != nil {
		return nil, err
	}
	if _, err := probe.Files(); err != nil {
		return nil, err
	}
	return resolve(file)
}

// explained adds an error's hint: Gazelle prints what Error says.
func explained(err error) error {
	var hinting interface{ Hint() string }
	if errors.As(err, &hinting) && hinting.Hint() != "" {
		return fmt.Errorf("%w\nhint: %s", err, hinting.Hint())
	}
	return err
}

func hasBuild(dir string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		info, err := os.Stat(filepath.Join(dir, n))
		return err == nil && info.Mode().IsRegular()
	})
}

// Kinds leaves go_binary to Gazelle's own language of Go.
func (e *extension) Kinds() map[string]rule.KindInfo {
	kinds := bazel.Kinds()
	delete(kinds, "go_binary")
	return kinds
}

// Loads is for workspaces without modules.
func (e *extension) Loads() []rule.LoadInfo {
	return withoutGo(bazel.Loads(func(module string) string { return "@" + module }))
}

// ApparentLoads names the repositories as MODULE.bazel does.
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
	return slices.DeleteFunc(slices.Clone(loads), func(l rule.LoadInfo) bool { return strings.HasSuffix(l.Name, "//go:def.bzl") })
}

// GenerateRules returns the rules of a package that Gazelle has to merge; what is new is in the file already.
func (e *extension) GenerateRules(args language.GenerateArgs) (result language.GenerateResult) {
	if e.workspace == nil {
		return result
	}
	gen, empty, err := e.workspace.Rules(args.Rel, args.File)
	if err != nil {
		log.Print(explained(err)) // the file has changed since it was checked
		return result
	}
	return language.GenerateResult{Gen: gen, Empty: empty, Imports: make([]any, len(gen))}
}

// others writes what is no build file.
func (e *extension) others() error {
	files, err := e.workspace.Others()
	if err != nil {
		return explained(err)
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

// stale finds files that Gazelle does not know, so that it would print no difference for them.
func (e *extension) stale() error {
	files, err := e.workspace.Others()
	if err != nil {
		return explained(err)
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
