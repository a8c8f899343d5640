// Package bazel generates the BUILD files of images from a configuration and its source tree. It merges generated
// rules into existing files with Gazelle's library: rules, attributes and comments added by hand, and anything marked
// `# keep`, are preserved. Rules of images that were removed from the configuration are deleted. The package returns
// file contents and writes nothing itself.
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
	// platformsPackage has one platform per row of the architecture table. It exists only in the module multiarch.
	platformsPackage = "platforms"
	// fragmentName is the file that MODULE.bazel includes if images need repositories of Go modules or base images.
	fragmentName = "multiarch.MODULE.bazel"
)

// Project is a configuration and its location.
type Project struct {
	Config *config.Config
	File   string // path of the configuration; its directory is the generated package
	Top    string // directory that paths in the configuration are relative to
}

// File is a generated file, with its current and its new content.
type File struct {
	Path string // relative to the workspace root, with slashes
	Old  []byte // nil if the file does not exist
	New  []byte // nil if the file should not exist
}

// Stale reports whether the file must be written or removed.
func (f File) Stale() bool { return (f.Old == nil) != (f.New == nil) || !bytes.Equal(f.Old, f.New) }

// Workspace holds the generated rules of a project in its Bazel workspace.
type Workspace struct {
	Root  string   // absolute
	Notes []string // manual steps that the generated files need

	ws       *workspace
	pkg      string
	rules    map[string][]*rule.Rule // by package, in order
	names    map[string]bool         // names of all images
	repos    []string                // repositories of Go modules
	pulls    []baseImagePull         // base images from registries
	previous map[string]bool         // labels of generated rules that the current images/BUILD.bazel refers to
	loads    []rule.LoadInfo
	// ownLanguage is whether the package of the images must not be changed by Gazelle's Go extension.
	ownLanguage bool
	included    bool // whether MODULE.bazel includes the fragment
}

// resolver derives the rules of a project.
type resolver struct {
	project  Project
	ws       *workspace
	pkg, top string // relative to the workspace root
	rules    map[string][]*rule.Rule
	errs     config.Errors
	reported map[string]bool
	notes    []string
	reserved map[string]string // image names by target
	mains    map[string]goTarget
	repos    map[string]bool
	bases    map[string]map[arch.Platform]plan.Base // bases that need rules of their own, by name
	pulls    []baseImagePull
	trees    map[string]*tree
	ignored  []string
}

// Resolve derives the rules of a project. It reports everything in the configuration that Bazel does not support as
// config.Errors. It returns a *NoWorkspaceError if there is no MODULE.bazel, and a *ParseError if it cannot parse a
// file.
func Resolve(p Project) (*Workspace, error) {
	ws, err := open(filepath.Dir(p.File))
	if err != nil {
		return nil, err
	}
	t := &resolver{
		project:  p,
		ws:       ws,
		rules:    map[string][]*rule.Rule{},
		reported: map[string]bool{},
		reserved: map[string]string{},
		mains:    map[string]goTarget{},
		repos:    map[string]bool{},
		bases:    map[string]map[arch.Platform]plan.Base{},
		trees:    map[string]*tree{},
	}
	if t.pkg, err = ws.rel(filepath.Dir(p.File)); err != nil {
		return nil, err
	}
	if t.top, err = ws.rel(p.Top); err != nil {
		return nil, &NoWorkspaceError{p.Top}
	}
	if t.ignored, err = ws.ignored(); err != nil {
		return nil, err
	}
	locked, err := lock.Load(p.File)
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
	ws.planned[t.pkg] = true
	switch push := t.pushPackage(); {
	case ws.hasOCI():
		ws.planned[push] = true
	case ws.build(push) != "":
		t.rules[push] = []*rule.Rule{} // remove what was generated before the module lost rules_oci
	}
	if ws.module == module {
		ws.planned[platformsPackage] = true
	}
	for _, i := range planned.Images {
		t.image(i)
	}
	if err := t.baseRules(); err != nil {
		return nil, err
	}
	t.addGeneratedTest(filepath.Base(p.File))
	t.push(planned.Images)
	if ws.module == module {
		rules, err := platformRules(arch.Table(), ws.repo)
		if err != nil {
			return nil, err
		}
		t.rules[platformsPackage] = rules
	}
	if len(t.errs) > 0 {
		slices.SortStableFunc(t.errs, func(a, b *config.Error) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
		return nil, t.errs
	}
	return t.workspace(planned)
}

// built returns the images to build. Images that join existing images have no targets, because they are joined when
// they are released.
func (t *resolver) built() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.project.Config.Images)) {
		if t.project.Config.Images[name].From.IsZero() {
			names = append(names, name)
			continue
		}
		t.note(
			"image %s has no build target because it joins existing images: bazel run %s and multiarch release push it",
			name,
			t.imageLabel(pushAll),
		)
	}
	return names
}

func (t *resolver) workspace(planned *plan.Plan) (*Workspace, error) {
	w := &Workspace{
		Root:  t.ws.root,
		ws:    t.ws,
		pkg:   t.pkg,
		rules: t.rules,
		names: map[string]bool{},
		loads: Loads(t.ws.repo),
		repos: slices.Sorted(maps.Keys(t.repos)),
		pulls: t.pulls,
	}
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
	if w.ownLanguage, err = t.resolveLanguage(); err != nil {
		return nil, err
	}
	t.checkModule(w)
	t.checkBases()
	w.Notes = t.notes
	return w, nil
}

// checkModule adds notes about dependencies and includes that MODULE.bazel lacks.
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
		if _, known := t.ws.apparent[name]; needed != "" && name != "" && !known &&
			!slices.Contains(slices.Collect(maps.Values(t.ws.apparent)), name) {
			t.note("MODULE.bazel needs bazel_dep(name = %q, version = ...) for %s", name, needed)
		}
	}
	include := "//" + t.pkg + ":" + fragmentName
	w.included = t.ws.included[include]
	switch needed := len(w.repos)+len(w.pulls) > 0; {
	case needed && !w.included:
		t.note("MODULE.bazel needs include(%q)", include)
	case !needed && w.included:
		t.note("MODULE.bazel no longer needs include(%q)", include)
	}
}

// note adds a note unless it is already there.
func (t *resolver) note(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(t.notes, s) {
		t.notes = append(t.notes, s)
	}
}

// fail records an error at a position of the configuration, once for all platforms.
func (t *resolver) fail(at config.Path, hint, format string, args ...any) {
	err := t.project.Config.Errorf(at, hint, format, args...)
	if s := err.Error(); !t.reported[s] {
		t.reported[s] = true
		t.errs = append(t.errs, err)
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

// ignored returns the directories in .bazelignore.
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
