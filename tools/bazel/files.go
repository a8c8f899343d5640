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

// tree lists the content of a directory, or describes a single file. Paths are relative to the workspace root.
type tree struct {
	file        bool
	files       []string
	executable  []string // those of files with an executable bit
	packages    []string // subdirectories with a build file
	empty       []string // empty directories
	git         []string // git metadata, which images do not contain
	unsupported []unsupportedPath
}

// unsupportedPath is a path whose content Bazel cannot package unchanged.
type unsupportedPath struct {
	path, why string
	dir       bool // whether it applies to everything below the path
}

// touches reports whether the patterns match the path or anything below it.
func (f unsupportedPath) touches(root string, globs patterns) bool {
	inside := relative(root, f.path)
	if !f.dir {
		return globs.matches(inside)
	}
	seen, reached := globs.in(inside)
	return globs.matches(inside) || reached && !slices.Contains(seen.exclude, "**")
}

// files sets the attribute files of each child of an image, and adds the required multiarch_files rules to the packages
// that contain the files.
func (t *resolver) files(i plan.Image, children []attributes) {
	entryLabels := map[string][]string{} // labels, by entry
	count := 0
	for n, c := range i.Children {
		var labels []string
		for at, f := range c.Files {
			key := fmt.Sprintf("%#v", f)
			if _, known := entryLabels[key]; !known {
				entryLabels[key] = t.entry(t.project.Config.FilePath(i.Name, c.Platform, at), i.Name, &count, f)
			}
			labels = append(labels, entryLabels[key]...)
		}
		if labels = unique(labels); len(labels) > 0 {
			children[n]["files"] = labels
		}
	}
}

// entry adds the rules of one file entry: one per package, because a glob does not cross package boundaries.
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
		t.fail(append(at, "from"), "set from: to a path below "+t.project.Top, "%s %w", f.From, err)
		return nil
	}
	if problem := found.problem(root, path.Clean(f.To), globs, len(f.Glob) > 0); problem != nil {
		t.fail(append(at, "from"), "", "%w", problem)
		return nil
	}
	globs = found.withoutGit(root, globs)
	var labels []string
	add := func(pkg string, srcs any, executable []string, to, prefix string, empty []string) {
		*count++
		name := image + "_files"
		if *count > 1 {
			name += fmt.Sprintf("_%d", *count)
		}
		r := rule.NewRule(filesKind, name)
		r.SetSortedAttrs(nil) // Gazelle would sort the srcs of new rules, but not of existing ones
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
		} else if len(executable) > 0 {
			r.SetAttr("executable", executable)
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
		src, prefix := fileLabel(pkg, root), ""
		if strings.HasSuffix(f.To, "/") {
			prefix = relative(pkg, parent(root))
		}
		add(pkg, []string{src}, labelsOf(pkg, found.executable), f.To, prefix, nil)
		return labels
	}
	for _, dir := range append([]string{root}, found.packages...) {
		pkg, inside := dir, relative(root, dir)
		if dir == root {
			pkg = t.ws.owner(root)
		}
		seen, reached := globs.in(inside)
		selected := func(file string) bool {
			return t.ws.owner(parent(file)) == pkg && globs.matches(relative(root, file))
		}
		reached = reached && slices.ContainsFunc(found.files, selected)
		var empty []string
		if dir == root && len(f.Glob) == 0 {
			for _, d := range found.empty {
				empty = append(empty, relative(root, d))
			}
		}
		if !reached && empty == nil {
			continue // Bazel rejects a glob that matches nothing
		}
		prefix := relative(pkg, dir)
		// The trailing slash makes `to` a directory even if there is only one file.
		to := strings.TrimSuffix(path.Join(f.To, inside), "/") + "/"
		var (
			srcs       any
			executable []string
		)
		if reached {
			srcs = glob(prefixed(prefix, withDotFiles(seen.include)), prefixed(prefix, withDotFiles(seen.exclude)))
			for _, file := range found.executable {
				if selected(file) {
					executable = append(executable, file)
				}
			}
		}
		add(pkg, srcs, labelsOf(pkg, executable), to, prefix, empty)
	}
	return labels
}

// fileLabel returns the label of a file in a package, relative to the package.
func fileLabel(pkg, file string) string {
	name := relative(pkg, file)
	if strings.HasPrefix(name, "@") {
		return ":" + name
	}
	return name
}

func labelsOf(pkg string, files []string) (labels []string) {
	for _, file := range files {
		labels = append(labels, fileLabel(pkg, file))
	}
	return labels
}

// withoutGit excludes git metadata from patterns that match it, as layer.Collect does.
func (found *tree) withoutGit(root string, globs patterns) patterns {
	if slices.ContainsFunc(
		found.git,
		func(p string) bool { return unsupportedPath{path: p, dir: true}.touches(root, globs) },
	) {
		globs.exclude = unique(append(slices.Clip(globs.exclude), "**/"+gitFolder, "**/"+gitFolder+"/**"))
	}
	return globs
}

// relative returns p relative to its parent dir. Both are relative to the workspace root.
func relative(dir, p string) string {
	if dir == "" {
		return p
	}
	return strings.TrimPrefix(strings.TrimPrefix(p, dir), "/")
}

// labelOf returns a label relative to the generated package.
func (t *resolver) labelOf(pkg, name string) string {
	return label.New("", pkg, name).Rel("", t.pkg).String()
}

// problem returns an error if Bazel cannot package the same files as the embedded engine.
func (found *tree) problem(root, to string, globs patterns, filtered bool) error {
	wanted := func(p string) bool { return globs.matches(relative(root, p)) }
	touched := func(f unsupportedPath) bool { return f.path == root || f.touches(root, globs) }
	switch {
	case strings.ContainsAny(root, `*?[]{}:\`):
		return withHint("rename it", "%s contains characters that Bazel labels do not allow", root)
	case found.file && len(found.unsupported) > 0:
		return withHint("rename it", "%s %s", found.unsupported[0].path, found.unsupported[0].why)
	case found.file:
		return nil
	case slices.ContainsFunc(found.unsupported, touched):
		f := found.unsupported[slices.IndexFunc(found.unsupported, touched)]
		return withHint("remove it or exclude it with glob:, or "+ownTargetHint, "%s %s", f.path, f.why)
	case !filtered && len(found.empty) > 0 && !slices.Contains(found.empty, root):
		return nil
	case !slices.ContainsFunc(found.files, wanted):
		if !filtered {
			return withHint(
				fmt.Sprintf("add a file, or create the directory in the image: directories: [{path: %s}]", to),
				"%s is an empty directory",
				root,
			)
		}
		return withHint("write patterns relative to from:", "no file in %s matches the patterns", root)
	}
	return nil
}

// tree lists the files below a path. Results are cached.
func (t *resolver) tree(root string) (*tree, error) {
	if known, ok := t.trees[root]; ok {
		return known, nil
	}
	if root == ".." || strings.HasPrefix(root, "../") {
		return nil, errOutside
	}
	found := &tree{}
	if root == "" {
		found.git = []string{gitFolder} // even if it does not exist, so that all users generate the same files
	}
	for dir := root; dir != ""; dir = parent(dir) {
		info, err := os.Lstat(t.ws.abs(dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, errors.New("does not exist")
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, withHint("use the path that it points to", "contains the symbolic link %s", dir)
		case dir == root && !info.IsDir():
			found.file = true
			if info.Mode()&0o111 != 0 {
				found.executable = []string{root}
			}
		}
	}
	if found.file {
		found.checkName(root)
	} else {
		if err := t.walk(found, root, root); err != nil {
			return nil, err
		}
	}
	if !found.file {
		t.addPlanned(found, root)
	}
	t.trees[root] = found
	return found, nil
}

// addPlanned adds the build files that will be generated.
func (t *resolver) addPlanned(found *tree, root string) {
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

// walk adds the content of dir.
func (t *resolver) walk(found *tree, root, dir string) error {
	if dir != root && t.ws.isPackage(dir) {
		found.packages = append(found.packages, dir)
	}
	if slices.Contains(t.ignored, dir) {
		found.unsupported = append(found.unsupported, unsupportedPath{dir, "is listed in .bazelignore", true})
	}
	if dir != root && t.isLayout(dir) {
		found.unsupported = append(found.unsupported, unsupportedPath{dir, "is an OCI layout written by multiarch", true})
	}
	entries, err := os.ReadDir(t.ws.abs(dir))
	if err != nil {
		return fmt.Errorf("is not readable: %w", err)
	}
	holds := false
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		switch {
		case e.Name() == gitFolder:
			found.git = append(found.git, p)
			continue
		case e.Type()&fs.ModeSymlink != 0 && dir == "" && strings.HasPrefix(e.Name(), "bazel-"):
			found.unsupported = append(found.unsupported, unsupportedPath{p, "is a link to Bazel's output directory", true})
		case e.Type()&fs.ModeSymlink != 0:
			info, err := os.Stat(t.ws.abs(p))
			found.unsupported = append(
				found.unsupported,
				unsupportedPath{p, "is a symbolic link, which Bazel would follow", err == nil && info.IsDir()},
			)
		case e.IsDir():
			if err := t.walk(found, root, p); err != nil {
				return err
			}
			found.checkWhiteout(p)
			holds = true
			continue
		case !e.Type().IsRegular():
			found.unsupported = append(found.unsupported, unsupportedPath{p, "is neither a file nor a directory", false})
		}
		found.checkName(p)
		found.files = append(found.files, p)
		// Bazel does not track the executable bit, so the rules list the files that have it.
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("is not readable: %w", err)
		}
		if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			found.executable = append(found.executable, p)
		}
		holds = true
	}
	if !holds {
		found.empty = append(found.empty, dir)
	}
	return nil
}

// gitFolder is the git metadata of a checkout: a directory, or a file in worktrees and submodules.
const gitFolder = ".git"

// isLayout reports whether multiarch build wrote a directory, as layer.Collect does.
func (t *resolver) isLayout(dir string) bool {
	for _, name := range []string{layout.LockFile, layout.MarkerFile} {
		if _, err := os.Lstat(t.ws.abs(path.Join(dir, name))); err != nil {
			return false
		}
	}
	return true
}

// checkWhiteout checks for names that container runtimes interpret as whiteouts (image-spec, layer.md).
func (found *tree) checkWhiteout(p string) {
	if strings.HasPrefix(path.Base(p), ".wh.") {
		found.unsupported = append(
			found.unsupported,
			unsupportedPath{p, "has the prefix .wh., which container runtimes interpret as the deletion of a file", true},
		)
	}
}

// checkName checks for characters that labels do not allow (LabelValidator.java).
func (found *tree) checkName(p string) {
	found.checkWhiteout(p)
	if strings.ContainsAny(p, `:\`) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		found.unsupported = append(
			found.unsupported,
			unsupportedPath{p, "contains characters that Bazel labels do not allow", false},
		)
	}
}
