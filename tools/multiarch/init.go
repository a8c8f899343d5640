package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// schemaFile is the JSON Schema that init writes beside multiarch.yaml, so that editors need no network.
const schemaFile = "multiarch.schema.json"

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Write a multiarch.yaml for the Go programs found here",
		Long: `Write a multiarch.yaml with one image per Go main package below the current directory. Modules that
go.work lists are included. Tests, examples and build tools are left out; a comment lists them.

init also writes ` + schemaFile + `, which editors use for completion and validation, and adds
dist/ to .gitignore. It never replaces an existing file. After an upgrade, refresh the schema with
"multiarch schema > ` + schemaFile + `".`,
		Example: `  multiarch init
  multiarch init -f images/multiarch.yaml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.init() },
	}
}

func (a *app) init() error {
	file := a.file
	if file == "" {
		file = "multiarch.yaml"
	}
	top := config.Top(file)
	found, err := findPrograms(top)
	if err != nil {
		return err
	}
	if len(found.programs) == 0 {
		return noPrograms(file, near(top), found)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	switch err := writeNew(file, []byte(firstConfig(found))); {
	case errors.Is(err, fs.ErrExist):
		return usagef("remove it, or choose another file with -f", "%s already exists", file)
	case err != nil:
		return fmt.Errorf("writing the configuration: %w", err)
	}
	a.terminal.result("%s", file)
	if err := a.writeSchema(filepath.Join(filepath.Dir(file), schemaFile)); err != nil {
		return err
	}
	if err := a.ignoreDist(filepath.Join(top, ".gitignore")); err != nil {
		return err
	}
	if _, inModule := above(top, "go.mod"); !inModule && found.workspace == "" {
		a.terminal.note("no go.mod here or in a parent directory; create one with: go mod init example.com/NAME")
	}
	a.terminal.note("next: multiarch build")
	return nil
}

func noPrograms(file, top string, found foundPrograms) error {
	below := "no Go main package below " + top
	if top == "." {
		below = "no Go main package below this directory"
	}
	skipped := slices.Concat(found.auxiliary, found.otherModules)
	switch {
	case len(skipped) > 0:
		return usagef("run it in another directory, or write "+file+" by hand",
			"%s, apart from some that init leaves out: %s", below, strings.Join(skipped, ", "))
	case top != ".":
		return usagef("paths are relative to the directory of multiarch.yaml, or to the parent of images/: "+
			"choose multiarch.yaml or images/multiarch.yaml", "%s", below)
	}
	return usagef("run it at the top of a Go module; for programs in other languages, start with this "+file+":\n\n"+
		filesConfig, "%s", below)
}

// filesConfig is an example that does not need Go.
const filesConfig = `version: 1
platforms: [linux/amd64, linux/arm64]
images:
  app:
    files: [{from: "bin/{os}-{arch}/app", to: /usr/bin/}]    # bin/linux-amd64/app and bin/linux-arm64/app
    entrypoint: [/usr/bin/app]
`

// writeNew writes a file that must not exist yet.
func writeNew(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

func (a *app) writeSchema(file string) error {
	schema, err := config.Schema()
	if err != nil {
		return err
	}
	switch err := writeNew(file, schema); {
	case errors.Is(err, fs.ErrExist):
		if old, err := inputfile.ReadFile(file); err != nil || !bytes.Equal(old, schema) {
			a.terminal.note("%s already exists; to refresh it, run: multiarch schema > %s", file, file)
		}
		return nil
	case err != nil:
		return fmt.Errorf("writing the schema: %w", err)
	}
	a.terminal.result("%s", file)
	return nil
}

// ignoreDist appends dist/, where build writes, to a .gitignore that does not list it.
func (a *app) ignoreDist(file string) error {
	content, err := inputfile.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading .gitignore: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if strings.Trim(strings.TrimSpace(line), "/") == "dist" {
			return nil
		}
	}
	added := "dist/\n"
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		added = "\n" + added
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("writing .gitignore: %w", err)
	}
	_, err = f.WriteString(added)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing .gitignore: %w", err)
	}
	a.terminal.result("%s", near(file))
	return nil
}

func firstConfig(found foundPrograms) string {
	var s strings.Builder
	s.WriteString("# yaml-language-server: $schema=" + schemaFile + `
version: 1
# registry: registry.example.com/team    # where push uploads; --registry and MULTIARCH_REGISTRY replace it
platforms: [linux/amd64, linux/arm64]    # "multiarch platforms" lists them all

images:
`)
	for _, p := range found.programs {
		fmt.Fprintf(&s, "  %s:\n    go: {package: %s}\n    user: nonroot\n    push: {tags: [latest, \"{{.Git.Tag}}\"]}\n",
			p.image, p.dir)
	}
	comment := func(title string, dirs []string) {
		if len(dirs) > 0 {
			fmt.Fprintf(&s, "\n# %s:\n#   %s\n", title, strings.Join(dirs, "\n#   "))
		}
	}
	comment("Left out as tests, examples or build tools", found.auxiliary)
	if found.workspace != "" {
		comment("Left out because go.work does not list their modules", found.otherModules)
	} else {
		comment("Left out because they belong to other modules", found.otherModules)
	}
	return s.String()
}
