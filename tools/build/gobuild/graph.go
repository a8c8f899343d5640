package gobuild

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// graph is what decides which module versions a build uses, apart from the module cache, whose content is fixed by
// versions and go.sum.
type graph struct {
	// files are all go.mod, go.sum, go.work, go.work.sum and vendor/modules.txt files that take part. Some may not exist.
	files []string
	// modules are the directories of the modules that are edited in place, by module path.
	modules map[string]string
}

// moduleGraph reads the workspace or the main module of a request. A file that cannot be parsed contributes only
// itself: the go command reports what is wrong with it.
func (b *Builder) moduleGraph(r Request) graph {
	g := graph{modules: map[string]string{}}
	if work := b.tool.setting(r, "GOWORK"); work != "" && work != "off" {
		g.workspace(work)
	} else if mod := b.tool.setting(r, "GOMOD"); filepath.IsAbs(mod) && mod != os.DevNull {
		g.main(filepath.Dir(mod))
	}
	return g
}

func (g *graph) workspace(file string) {
	dir := filepath.Dir(file)
	// The sum of dir/name.work is dir/name.work.sum.
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
		g.main(resolve(dir, use.Path))
	}
	g.replaced(dir, work.Replace)
}

// main adds a main module, whose replacements count.
func (g *graph) main(dir string) {
	g.files = append(g.files, filepath.Join(dir, "go.sum"), filepath.Join(dir, "vendor", "modules.txt"))
	if mod := g.module(dir); mod != nil {
		g.replaced(dir, mod.Replace)
	}
}

// replaced adds the modules that replace others by a directory. Their requirements count, and their replacements do not.
func (g *graph) replaced(dir string, replacements []*modfile.Replace) {
	for _, r := range replacements {
		if r.New.Version == "" {
			g.module(resolve(dir, r.New.Path))
		}
	}
}

func (g *graph) module(dir string) *modfile.File {
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

// setting is the value that a go command run for a request has for a setting.
func (t toolchain) setting(r Request, name string) string {
	value, own := t.env[name]
	if !own {
		value = os.Getenv(name)
	}
	for _, e := range r.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}
