package bazel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/label"
	"github.com/bazelbuild/bazel-gazelle/rule"

	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// tree is what stands below a directory (or the file itself), by path relative to the workspace root.
type tree struct {
	file     bool
	files    []string
	packages []string // directories with a build file at or below it, itself left out
	empty    []string // directories with nothing in them
	git      []string // what git keeps, which is in no image
	foreign  []foreign
}

// foreign is something that Bazel would not carry as it is.
type foreign struct {
	path, why string
	dir       bool // what is below is concerned as well
}

// touches tells whether the patterns reach what is foreign.
func (f foreign) touches(root string, globs patterns) bool {
	inside := relative(root, f.path)
	if !f.dir {
		return globs.wants(inside)
	}
	seen, reached := globs.in(inside)
	return globs.wants(inside) || reached && !slices.Contains(seen.exclude, "**")
}

// files sets the attribute files of each child of an image, and adds the multiarch_files rules this takes to the
// packages that own them.
func (t *resolver) files(i plan.Image, children []attributes) {
	made := map[string][]string{} // labels, by entry
	count := 0
	for n, c := range i.Children {
		var labels []string
		for at, f := range c.Files {
			key := fmt.Sprintf("%#v", f)
			if _, known := made[key]; !known {
				made[key] = t.entry(t.project.Config.FilePath(i.Name, c.Platform, at), i.Name, &count, f)
			}
			labels = append(labels, made[key]...)
		}
		if labels = unique(labels); len(labels) > 0 {
			children[n]["files"] = labels
		}
	}
}

// entry makes the rules of one file entry: one a package, since a glob ends where the next package begins.
func (t *resolver) entry(at config.Path, image string, count *int, f plan.File) []string {
	globs, err := translate(f.Glob)
	if err != nil {
		t.fail(append(at, "glob"), "", "%w", err)
		return nil
	}
	root := path.Join(t.top, f.From)
	if root == "." {
		root = ""
	}
	found, err := t.tree(root)
	if err != nil {
		t.fail(append(at, "from"), "from: is a path below "+t.project.Top, "%s %w", f.From, err)
		return nil
	}
	if problem := found.problem(root, path.Clean(f.To), globs, len(f.Glob) > 0); problem != nil {
		t.fail(append(at, "from"), "", "%w", problem)
		return nil
	}
	globs = found.withoutGit(root, globs)
	var labels []string
	add := func(pkg string, srcs any, to, prefix string, empty []string) {
		*count++
		name := image + "_files"
		if *count > 1 {
			name += fmt.Sprintf("_%d", *count)
		}
		r := rule.NewRule(filesKind, name)
		r.SetSortedAttrs(nil) // Gazelle would sort srcs of a new rule, and not those of one that stands there
		if srcs != nil {
			r.SetAttr("srcs", srcs)
		}
		if len(empty) > 0 {
			r.SetAttr("directories", empty)
		}
		r.SetAttr("to", to)
		if prefix != "" {
			r.SetAttr("strip_prefix", prefix)
		}
		if f.Mode != 0 {
			r.SetAttr("mode", fmt.Sprintf("%04o", f.Mode))
		}
		if f.UID != 0 || f.GID != 0 {
			r.SetAttr("owner", fmt.Sprintf("%d:%d", f.UID, f.GID))
		}
		if !found.file && (f.Mode != 0 || f.UID != 0 || f.GID != 0) {
			r.SetAttr("owned_below", path.Clean(f.To)) // as the embedded engine's layer.Collect does
		}
		if f.Capabilities != "" {
			r.SetAttr("capabilities", f.Capabilities)
		}
		r.SetAttr("visibility", []string{"//" + t.pkg + ":__pkg__"})
		t.add(pkg, r)
		labels = append(labels, t.labelOf(pkg, name))
	}
	if found.file {
		pkg := t.ws.owner(parent(root))
		src, prefix := relative(pkg, root), ""
		if strings.HasSuffix(f.To, "/") {
			prefix = relative(pkg, parent(root))
		}
		if strings.HasPrefix(src, "@") {
			src = ":" + src
		}
		add(pkg, []string{src}, f.To, prefix, nil)
		return labels
	}
	for _, dir := range append([]string{root}, found.packages...) {
		pkg, inside := dir, relative(root, dir)
		if dir == root {
			pkg = t.ws.owner(root)
		}
		seen, reached := globs.in(inside)
		reached = reached && slices.ContainsFunc(found.files, func(file string) bool {
			return t.ws.owner(parent(file)) == pkg && globs.wants(relative(root, file))
		})
		var empty []string
		if dir == root && len(f.Glob) == 0 {
			for _, d := range found.empty {
				empty = append(empty, relative(root, d))
			}
		}
		if !reached && empty == nil {
			continue // Bazel refuses a glob that matches nothing
		}
		prefix := relative(pkg, dir)
		// A directory's content goes below to: even if it is a single file.
		to := strings.TrimSuffix(path.Join(f.To, inside), "/") + "/"
		var srcs any
		if reached {
			srcs = glob(below(prefix, hidden(seen.include)), below(prefix, hidden(seen.exclude)))
		}
		add(pkg, srcs, to, prefix, empty)
	}
	return labels
}

// withoutGit adds to patterns that reach what git keeps that they do not: layer.Collect leaves it out as well.
func (found *tree) withoutGit(root string, globs patterns) patterns {
	if slices.ContainsFunc(found.git, func(p string) bool { return foreign{path: p, dir: true}.touches(root, globs) }) {
		globs.exclude = unique(append(slices.Clip(globs.exclude), "**/"+gitFolder, "**/"+gitFolder+"/**"))
	}
	return globs
}

// relative returns a path below dir as seen from there; both are relative to the workspace root.
func relative(dir, p string) string {
	if dir == "" {
		return p
	}
	return strings.TrimPrefix(strings.TrimPrefix(p, dir), "/")
}

// labelOf is a label as it stands in the generated package.
func (t *resolver) labelOf(pkg, name string) string {
	return label.New("", pkg, name).Rel("", t.pkg).String()
}

// problem says why Bazel cannot put the same files into an image as the embedded engine does.
func (found *tree) problem(root, to string, globs patterns, filtered bool) error {
	wanted := func(p string) bool { return globs.wants(relative(root, p)) }
	touched := func(f foreign) bool { return f.path == root || f.touches(root, globs) }
	switch {
	case strings.ContainsAny(root, `*?[]{}:\`):
		return hinted("rename it", "Bazel has no name for %s", root)
	case found.file && len(found.foreign) > 0:
		return hinted("rename it", "%s %s", found.foreign[0].path, found.foreign[0].why)
	case found.file:
		return nil
	case slices.ContainsFunc(found.foreign, touched):
		f := found.foreign[slices.IndexFunc(found.foreign, touched)]
		return hinted("leave it out of the tree or by glob:, or "+own, "%s %s", f.path, f.why)
	case !filtered && len(found.empty) > 0 && !slices.Contains(found.empty, root):
		return nil
	case !slices.ContainsFunc(found.files, wanted):
		if !filtered {
			return hinted(fmt.Sprintf("put something into it, or create a directory in the image: directories: [{path: %s}]", to), "%s is an empty directory", root)
		}
		return hinted("patterns are relative to from:", "no file below %s matches the patterns", root)
	}
	return nil
}

// tree lists what is below a path, once.
func (t *resolver) tree(root string) (*tree, error) {
	if known, ok := t.trees[root]; ok {
		return known, nil
	}
	if root == ".." || strings.HasPrefix(root, "../") {
		return nil, errOutside
	}
	found := &tree{}
	if root == "" {
		found.git = []string{gitFolder} // also where there is none now: what is generated is the same for everybody
	}
	for dir := root; dir != ""; dir = parent(dir) {
		info, err := os.Lstat(t.ws.abs(dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, errors.New("does not exist")
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, hinted("name what it points to", "leads through %s, a symbolic link", dir)
		case dir == root && !info.IsDir():
			found.file = true
		}
	}
	if found.file {
		found.name(root)
	} else {
		if err := t.walk(found, root, root); err != nil {
			return nil, err
		}
	}
	if !found.file {
		t.expect(found, root)
	}
	t.trees[root] = found
	return found, nil
}

// expect adds the build files that are about to be written.
func (t *resolver) expect(found *tree, root string) {
	for _, pkg := range slices.Sorted(maps.Keys(t.ws.planned)) {
		_, inside := within(root, pkg)
		if !inside && root != "" || t.ws.build(pkg) != "" {
			continue
		}
		found.files = append(found.files, path.Join(pkg, "BUILD.bazel"))
		if pkg != root && !slices.Contains(found.packages, pkg) {
			found.packages = append(found.packages, pkg)
		}
	}
	slices.Sort(found.packages)
}

// walk adds what is in dir.
func (t *resolver) walk(found *tree, root, dir string) error {
	if dir != root && t.ws.isPackage(dir) {
		found.packages = append(found.packages, dir)
	}
	if slices.Contains(t.ignored, dir) {
		found.foreign = append(found.foreign, foreign{dir, "is in .bazelignore, so Bazel does not see it", true})
	}
	if dir != root && t.isLayout(dir) {
		found.foreign = append(found.foreign, foreign{dir, "is an OCI layout that multiarch wrote", true})
	}
	entries, err := os.ReadDir(t.ws.abs(dir))
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	holds := false
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		switch {
		case e.Name() == gitFolder:
			found.git = append(found.git, p)
			continue
		case e.Type()&fs.ModeSymlink != 0 && dir == "" && strings.HasPrefix(e.Name(), "bazel-"):
			found.foreign = append(found.foreign, foreign{p, "is one of Bazel's own links into its output", true})
		case e.Type()&fs.ModeSymlink != 0:
			info, err := os.Stat(t.ws.abs(p))
			found.foreign = append(found.foreign, foreign{p, "is a symbolic link, which Bazel follows instead of carrying it", err == nil && info.IsDir()})
		case e.IsDir():
			if err := t.walk(found, root, p); err != nil {
				return err
			}
			found.whiteout(p)
			holds = true
			continue
		case !e.Type().IsRegular():
			found.foreign = append(found.foreign, foreign{p, "is neither a file nor a directory", false})
		}
		found.name(p)
		found.files = append(found.files, p)
		holds = true
	}
	if !holds {
		found.empty = append(found.empty, dir)
	}
	return nil
}

// gitFolder is what git keeps in a checkout, a folder or a file.
const gitFolder = ".git"

// isLayout tells whether multiarch build wrote a directory, as layer.Collect does.
func (t *resolver) isLayout(dir string) bool {
	for _, name := range []string{layout.LockFile, layout.MarkerFile} {
		if _, err := os.Lstat(t.ws.abs(path.Join(dir, name))); err != nil {
			return false
		}
	}
	return true
}

// whiteout looks for names that container runtimes take for the removal of a file: image spec, "Whiteouts".
func (found *tree) whiteout(p string) {
	if strings.HasPrefix(path.Base(p), ".wh.") {
		found.foreign = append(found.foreign, foreign{p, "has the prefix .wh., which container runtimes interpret as the deletion of a file", true})
	}
}

// name looks for what no label can hold (LabelValidator.java).
func (found *tree) name(p string) {
	found.whiteout(p)
	if strings.ContainsAny(p, `:\`) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		found.foreign = append(found.foreign, foreign{p, "has a name that no label can hold", false})
	}
}
