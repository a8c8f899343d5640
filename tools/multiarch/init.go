package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Write a first multiarch.yaml for the Go main packages below this folder",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			name := a.file
			if name == "" {
				name = "multiarch.yaml"
			}
			mains, err := mainPackages(config.Top(name))
			if err != nil {
				return err
			}
			if len(mains) == 0 {
				return usagef("run it at the top of a Go module; for programs of any other kind write "+name+" as here:\n\n"+filesConfig, "no Go main package below this folder")
			}
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return usagef("remove it, or name another file with -f", "%s exists already", name)
			}
			if err != nil {
				return fmt.Errorf("writing the configuration: %w", err)
			}
			_, err = f.WriteString(firstConfig(mains))
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("writing the configuration: %w", err)
			}
			a.terminal.result("%s", name)
			if !inModule(config.Top(name)) {
				a.terminal.note("there is no go.mod here or above, without which the go command compiles nothing: go mod init example.com/NAME")
			}
			a.terminal.note("next: multiarch build")
			return nil
		},
	}
}

// filesConfig is an example of what needs no Go.
const filesConfig = `version: 1
platforms: [linux/amd64, linux/arm64]
images:
  app:
    files: [{from: "bin/{os}-{arch}/app", to: /usr/bin/}]    # bin/linux-amd64/app and bin/linux-arm64/app
    entrypoint: [/usr/bin/app]
`

// inModule tells whether a folder is in a Go module.
func inModule(dir string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	_, ok := above(dir, "go.mod")
	return ok
}

// mainPackages lists the main packages below dir: the image name each could have, and its directory.
func mainPackages(dir string) ([][2]string, error) {
	var mains [][2]string
	taken := map[string]bool{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		base := d.Name()
		if p != dir {
			_, err := os.Stat(filepath.Join(p, "go.mod"))
			if err == nil || base == "testdata" || base == "vendor" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
				return filepath.SkipDir // the go command leaves these out of ./... as well
			}
		}
		if !isMain(p) {
			return nil
		}
		below, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		below = filepath.ToSlash(below)
		name := imageNameOf(below, dir)
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s-%d", imageNameOf(below, dir), n)
		}
		taken[name] = true
		mains = append(mains, [2]string{name, below})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for Go main packages: %w", err)
	}
	slices.SortFunc(mains, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return mains, nil
}

// isMain tells whether a folder holds a main package that is not left out of every build.
func isMain(dir string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(files, func(file string) bool {
		if strings.HasSuffix(file, "_test.go") {
			return false
		}
		content, err := inputfile.ReadFile(file)
		if err != nil || strings.Contains(string(content), "//go:build ignore") {
			return false
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, content, parser.PackageClauseOnly)
		return err == nil && parsed.Name.Name == "main"
	})
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// imageNameOf makes an image name of a package's folder, or of the module's path for the module's own folder.
func imageNameOf(below, dir string) string {
	name := path.Base(below)
	if below == "." {
		name = filepath.Base(dir)
		if content, err := inputfile.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			if module := modfile.ModulePath(content); module != "" {
				name = path.Base(module)
			}
		}
	}
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if name == "" {
		return "app"
	}
	return name
}

func firstConfig(mains [][2]string) string {
	var s strings.Builder
	s.WriteString(`version: 1
# registry: registry.example.com/team    # where images go; --registry and MULTIARCH_REGISTRY win over it
platforms: [linux/amd64, linux/arm64]    # all that can be: multiarch platforms

images:
`)
	for _, m := range mains {
		below := "./" + m[1]
		if m[1] == "." {
			below = "."
		}
		fmt.Fprintf(&s, "  %s:\n    go: {package: %s}\n    user: nonroot\n    push: {tags: [latest, \"{{.Git.Tag}}\"]}\n", m[0], below)
	}
	return s.String()
}
