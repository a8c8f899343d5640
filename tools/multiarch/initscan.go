package main

import (
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

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// program is a Go main package, and the name of its image.
type program struct{ image, dir string }

// foundPrograms are the Go main packages below a directory. Directories are relative to it, such as ./cmd/server.
type foundPrograms struct {
	programs     []program
	auxiliary    []string // tests, examples and build tools
	otherModules []string // in modules that a go command started at the top does not see
	workspace    string   // go.work, or ""
}

// findPrograms looks for Go main packages below top.
func findPrograms(top string) (foundPrograms, error) {
	var found foundPrograms
	var modules []string
	var err error
	if found.workspace, modules, err = workspace(top); err != nil {
		return found, err
	}
	taken := map[string]bool{}
	var visit func(dir string, reachable bool) error
	visit = func(start string, reachable bool) error {
		return filepath.WalkDir(start, func(dir string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if dir != top && ignoredByGo(d.Name()) {
				return filepath.SkipDir
			}
			if dir != start && exists(filepath.Join(dir, "go.mod")) {
				if err := visit(dir, slices.Contains(modules, dir)); err != nil {
					return err
				}
				return filepath.SkipDir
			}
			if !isMain(dir) {
				return nil
			}
			below, err := filepath.Rel(top, dir)
			if err != nil {
				return err
			}
			below = filepath.ToSlash(below)
			pkg := "./" + below
			if below == "." {
				pkg = "."
			}
			switch {
			case isAuxiliary(below):
				found.auxiliary = append(found.auxiliary, pkg)
			case !reachable:
				found.otherModules = append(found.otherModules, pkg)
			default:
				found.programs = append(found.programs, program{unused(imageName(dir), taken), pkg})
			}
			return nil
		})
	}
	// Without a go.mod at the top, the go command sees the module above it, or the user is told to create one.
	err = visit(top, found.workspace == "" || inWorkspace(top, modules))
	if err != nil && exists(top) {
		return found, fmt.Errorf("looking for Go main packages: %w", err)
	}
	slices.SortFunc(found.programs, func(a, b program) int { return strings.Compare(a.image, b.image) })
	return found, nil
}

// workspace returns the go.work file that applies to dir, and the directories of its modules.
func workspace(dir string) (file string, modules []string, err error) {
	switch file = os.Getenv("GOWORK"); file {
	case "off":
		return "", nil, nil
	case "":
		parent, ok := above(dir, "go.work")
		if !ok {
			return "", nil, nil
		}
		file = filepath.Join(parent, "go.work")
	}
	content, err := inputfile.ReadFile(file)
	if err != nil {
		return "", nil, fmt.Errorf("reading go.work: %w", err)
	}
	work, err := modfile.ParseWork(file, content, nil)
	if err != nil {
		return "", nil, fmt.Errorf("reading go.work: %w", err)
	}
	for _, use := range work.Use {
		module := filepath.FromSlash(use.Path)
		if !filepath.IsAbs(module) {
			module = filepath.Join(filepath.Dir(file), module)
		}
		modules = append(modules, filepath.Clean(module))
	}
	return file, modules, nil
}

// inWorkspace reports whether the module that contains dir is one of modules.
func inWorkspace(dir string, modules []string) bool {
	moduleDir, ok := above(dir, "go.mod")
	return ok && slices.Contains(modules, moduleDir)
}

// ignoredByGo reports whether the pattern ./... leaves a directory out.
func ignoredByGo(name string) bool {
	return name == "testdata" || name == "vendor" || name == "node_modules" || strings.HasPrefix(name, ".") ||
		strings.HasPrefix(name, "_")
}

// isAuxiliary reports whether a package's directory marks it as a test, an example or a build tool.
func isAuxiliary(below string) bool {
	parts := strings.Split(below, "/")
	for i, part := range parts {
		switch part {
		case "hack", "test", "tests", "example", "examples":
			return true
		case "tools":
			if i > 0 && parts[i-1] == "internal" {
				return true
			}
		}
	}
	return false
}

// isMain reports whether a directory holds a main package that builds do not ignore.
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

var (
	notInNames   = regexp.MustCompile(`[^a-z0-9]+`)
	majorVersion = regexp.MustCompile(`^v[0-9]+$`)
)

// imageName derives an image name as "go install" names a program: from the module path if dir is the top of a module,
// else from the directory, without a major version such as /v2.
func imageName(dir string) string {
	name := filepath.Base(dir)
	if content, err := inputfile.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
		if modulePath := modfile.ModulePath(content); modulePath != "" {
			if prefix, _, ok := module.SplitPathVersion(modulePath); ok {
				modulePath = prefix
			}
			name = path.Base(modulePath)
		}
	} else if majorVersion.MatchString(name) {
		if parent := filepath.Dir(dir); parent != dir {
			name = filepath.Base(parent)
		}
	}
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if name == "" {
		return "app"
	}
	return name
}

// unused returns name, or name with a number if it is taken, and marks the result as taken.
func unused(name string, taken map[string]bool) string {
	result := name
	for n := 2; taken[result]; n++ {
		result = fmt.Sprintf("%s-%d", name, n)
	}
	taken[result] = true
	return result
}
