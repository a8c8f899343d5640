// Package bazel writes the build files of images: a configuration and the tree it stands in become the rules of Bazel,
// merged by Gazelle's machinery into what stands there. Rules and attributes written by hand, comments, and what is
// marked `# keep` survive; images that are gone disappear. Nothing is written here: the caller gets contents.
package bazel

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/rule"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

const (
	// module is the name of this project as a Bazel module.
	module = "multiarch"
	// platformsPackage holds the platforms of the table. It exists in our own module only.
	platformsPackage = "platforms"
	// fragmentName is the file that MODULE.bazel includes where images take binaries from other Go modules.
	fragmentName = "multiarch.MODULE.bazel"
)

// Project is a configuration in its tree.
type Project struct {
	Config *config.Config
	File   string // the configuration's file; its directory is the generated package
	Top    string // what the paths in the configuration are relative to
}

// File is a generated file as it is and as it should be.
type File struct {
	Path string // relative to the workspace root, with slashes
	Old  []byte // nil where the file does not exist
	New  []byte // nil where the file should not exist
}

// Stale tells whether the file has to be written, or removed.
func (f File) Stale() bool { return (f.Old == nil) != (f.New == nil) || !bytes.Equal(f.Old, f.New) }

// Workspace is what the packages of a Bazel workspace should hold for a project.
type Workspace struct {
	Root  string   // absolute
	Notes []string // what a person has to do for the generated files to work, a sentence each

	ws       *workspace
	pkg      string
	rules    map[string][]*rule.Rule // by package, in order
	names    map[string]bool         // the images there are
	repos    []string                // repositories of Go modules
	pulls    []pulled                // images that bases are made of
	previous map[string]bool         // labels of generated rules that images/BUILD.bazel refers to, as it stands
	loads    []rule.LoadInfo
	included bool // MODULE.bazel includes the fragment
}

// resolver finds out what the rules are.
type resolver struct {
	project  Project
	ws       *workspace
	pkg, top string // relative to the workspace root
	rules    map[string][]*rule.Rule
	wrong    config.Errors
	said     map[string]bool
	notes    []string
	claimed  map[string]string // the image, by target
	mains    map[string]goTarget
	repos    map[string]bool
	bases    map[string]map[arch.Platform]plan.Base // that images stand on and the rules do not bring along
	pulls    []pulled
	trees    map[string]*tree
	ignored  []string
}

// Resolve works out the rules of a project. What is wrong with the configuration, as far as Bazel is concerned, is
// returned as config.Errors: all of it, each with its position. *NoWorkspaceError, *ParseError: what their names say.
func Resolve(p Project) (*Workspace, error) {
	ws, err := open(filepath.Dir(p.File))
	if err != nil {
		return nil, err
	}
	t := &resolver{project: p, ws: ws, rules: map[string][]*rule.Rule{}, said: map[string]bool{}, claimed: map[string]string{},
		mains: map[string]goTarget{}, repos: map[string]bool{}, bases: map[string]map[arch.Platform]plan.Base{}, trees: map[string]*tree{}}
	if t.pkg, err = ws.rel(filepath.Dir(p.File)); err != nil {
		return nil, err
	}
	if t.top, err = ws.rel(p.Top); err != nil {
		return nil, &NoWorkspaceError{p.Top}
	}
	if t.ignored, err = ws.ignored(); err != nil {
		return nil, err
	}
	locked, err := lock.Beside(p.File)
	if err != nil {
		return nil, err
	}
	opts := plan.Options{Images: t.built(), Lock: locked, Bazel: true}
	if locked.HasStatic() {
		static, err := static.Lock()
		if err != nil {
			return nil, err
		}
		opts.Static = &static
	}
	planned := &plan.Plan{}
	if len(opts.Images) > 0 {
		if planned, err = plan.New(p.Config, opts); err != nil {
			return nil, err
		}
	}
	ws.planned[t.pkg], ws.planned[t.pushPackage()] = true, true
	if ws.module == module {
		ws.planned[platformsPackage] = true
	}
	for _, i := range planned.Images {
		t.image(i)
	}
	if err := t.baseRules(); err != nil {
		return nil, err
	}
	t.stale(filepath.Base(p.File))
	t.push(planned.Images)
	if ws.module == module {
		rules, err := platformRules(arch.Table(), ws.repo)
		if err != nil {
			return nil, err
		}
		t.rules[platformsPackage] = rules
	}
	if len(t.wrong) > 0 {
		slices.SortStableFunc(t.wrong, func(a, b *config.Error) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
		return nil, t.wrong
	}
	return t.workspace(planned)
}

// built are the images that are built. Those that join existing images are joined when they are released, and have no
// targets; a note says so.
func (t *resolver) built() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.project.Config.Images)) {
		if t.project.Config.Images[name].From.IsZero() {
			names = append(names, name)
			continue
		}
		t.note("image %s has no target: it joins existing images, which bazel run //%s does, and multiarch release", name, t.pushPackage())
	}
	return names
}

func (t *resolver) workspace(planned *plan.Plan) (*Workspace, error) {
	w := &Workspace{Root: t.ws.root, ws: t.ws, pkg: t.pkg, rules: t.rules, names: map[string]bool{}, loads: Loads(t.ws.repo),
		repos: slices.Sorted(maps.Keys(t.repos)), pulls: t.pulls}
	for _, i := range planned.Images {
		w.names[i.Name] = true
	}
	f, err := t.ws.read(t.pkg)
	if err != nil {
		return nil, err
	}
	w.previous = previousLabels(f, t.pkg)
	for l := range w.previous {
		if pkg := labelPackage(l); t.rules[pkg] == nil && t.ws.build(pkg) != "" {
			t.rules[pkg] = []*rule.Rule{}
		}
	}
	t.checkModule(w)
	t.checkBases()
	w.Notes = t.notes
	return w, nil
}

// checkModule notes what MODULE.bazel does not have.
func (t *resolver) checkModule(w *Workspace) {
	for _, info := range w.loads {
		needed := ""
		for pkg, rules := range t.rules {
			for _, r := range rules {
				if slices.Contains(info.Symbols, r.Kind()) {
					needed = max(needed, "//"+pkg)
				}
			}
		}
		name := strings.TrimPrefix(strings.Split(info.Name, "//")[0], "@")
		if _, known := t.ws.apparent[name]; needed != "" && name != "" && !known && !slices.Contains(slices.Collect(maps.Values(t.ws.apparent)), name) {
			t.note("MODULE.bazel needs bazel_dep(name = %q, version = ...) for %s", name, needed)
		}
	}
	include := "//" + t.pkg + ":" + fragmentName
	w.included = t.ws.included[include]
	switch needed := len(w.repos)+len(w.pulls) > 0; {
	case needed && !w.included:
		t.note("MODULE.bazel needs include(%q)", include)
	case !needed && w.included:
		t.note("MODULE.bazel needs include(%q) no more", include)
	}
}

// note is said once.
func (t *resolver) note(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(t.notes, s) {
		t.notes = append(t.notes, s)
	}
}

// fail records what is wrong at a place of the configuration; what is wrong on every platform is said once.
func (t *resolver) fail(at config.Path, hint, format string, args ...any) {
	err := t.project.Config.Errorf(at, hint, format, args...)
	if s := err.Error(); !t.said[s] {
		t.said[s] = true
		t.wrong = append(t.wrong, err)
	}
}

func (t *resolver) add(pkg string, r *rule.Rule) { t.rules[pkg] = append(t.rules[pkg], r) }

// rel returns a directory relative to the workspace root.
func (w *workspace) rel(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(w.root, abs)
	if err != nil {
		return "", err
	}
	rel = filepath.ToSlash(rel)
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return "", errOutside
	}
	if rel == "." {
		rel = ""
	}
	return rel, nil
}

// ignored returns the directories that .bazelignore hides.
func (w *workspace) ignored() ([]string, error) {
	content, err := inputfile.ReadFile(w.abs(".bazelignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &ParseError{".bazelignore", err}
	}
	var dirs []string
	for _, line := range strings.Split(string(content), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			dirs = append(dirs, path.Clean(line))
		}
	}
	return dirs, nil
}
