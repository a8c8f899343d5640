package gobuild

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// graph holds the files that determine the module versions of a build. The module cache is not part of it, because
// versions and go.sum determine its content.
type graph struct {
	// files are the go.mod, go.sum, go.work, go.work.sum and vendor/modules.txt files that the go command looks for. Some
	// may not exist.
	files []string
	// modules maps the paths of local modules to their directories.
	modules map[string]string
}

// moduleGraph reads the workspace or the main module of a request. Syntax errors are ignored, because the go command
// reports them.
func (b *Builder) moduleGraph(r Request) graph {
	g := graph{modules: map[string]string{}}
	if work := b.tool.setting(r, "GOWORK"); work != "" && work != "off" {
		g.addWorkspace(work)
	} else if mod := b.tool.setting(r, "GOMOD"); filepath.IsAbs(mod) && mod != os.DevNull {
		g.addMainModule(filepath.Dir(mod))
	}
	return g
}

func (g *graph) addWorkspace(file string) {
	dir := filepath.Dir(file)
	// The checksums of dir/name.work are in dir/name.work.sum.
	g.files = append(g.files, file, file+".sum", filepath.Join(dir, "vendor", "modules.txt"))
	content, err := inputfile.ReadFile(file)
	if err != nil {
		return
	}
	work, err := modfile.ParseWork(file, content, nil)
	if err != nil {
		return
	}
	for _, use := range work.Use {
		g.addMainModule(resolve(dir, use.Path))
	}
	g.addReplacements(dir, work.Replace)
}

// addMainModule adds a main module and its replacements.
func (g *graph) addMainModule(dir string) {
	g.files = append(g.files, filepath.Join(dir, "go.sum"), filepath.Join(dir, "vendor", "modules.txt"))
	if mod := g.addModule(dir); mod != nil {
		g.addReplacements(dir, mod.Replace)
	}
}

// addReplacements adds local modules that replace others. The go command uses their requirements, but ignores their
// replacements.
func (g *graph) addReplacements(dir string, replacements []*modfile.Replace) {
	for _, r := range replacements {
		if r.New.Version == "" {
			g.addModule(resolve(dir, r.New.Path))
		}
	}
}

func (g *graph) addModule(dir string) *modfile.File {
	file := filepath.Join(dir, "go.mod")
	g.files = append(g.files, file)
	content, err := inputfile.ReadFile(file)
	if err != nil {
		return nil
	}
	mod, err := modfile.Parse(file, content, nil)
	if err != nil {
		return nil
	}
	if mod.Module != nil {
		g.modules[mod.Module.Mod.Path] = dir
	}
	return mod
}

func resolve(dir, path string) string {
	if path = filepath.FromSlash(path); filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// setting returns the value of a go command setting for a request.
func (t toolchain) setting(r Request, name string) string {
	value, ok := t.env[name]
	if !ok {
		value = os.Getenv(name)
	}
	for _, e := range r.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}
