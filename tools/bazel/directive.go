package bazel

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazelbuild/bazel-gazelle/rule"
)

// languageDirective disables Gazelle's other extensions below a directory. Its Go extension deletes each go_binary in a
// package without Go files.
const languageDirective = "# gazelle:lang multiarch"

// needsDirective reports whether the package of the images has a go_binary that Gazelle's Go extension would delete.
func (w *Workspace) needsDirective(pkg string) bool { return pkg == w.pkg && w.ownLanguage }

// resolveLanguage determines whether the package of the images needs the directive. If Go packages are at or below the
// directory, the directive would disable their generation.
func (t *resolver) resolveLanguage() (bool, error) {
	i := slices.IndexFunc(t.rules[t.pkg], func(r *rule.Rule) bool { return r.Kind() == binaryKind })
	if i < 0 {
		return false, nil
	}
	found := errors.New("found")
	err := filepath.WalkDir(t.ws.abs(t.pkg), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(d.Name(), ".go") {
			return found
		}
		return err
	})
	switch {
	case errors.Is(err, found):
		t.note("Gazelle's Go extension deletes //%s:%s: "+
			"move %s to a directory without Go packages, or do not use that extension",
			t.pkg, t.rules[t.pkg][i].Name(), filepath.Base(t.project.File))
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// WithDirective returns the path and the new content of a package's build file that lacks the directive, or nil.
// Gazelle reads directives before it generates rules.
func (w *Workspace) WithDirective(pkg string) (file string, content []byte, err error) {
	f, old, err := w.ws.load(pkg)
	if err != nil || f == nil || !w.lacksDirective(pkg, f) {
		return "", nil, err
	}
	return f.Path, insertDirective(old), nil
}

func (w *Workspace) lacksDirective(pkg string, f *rule.File) bool {
	isLang := func(d rule.Directive) bool { return d.Key == "lang" }
	return w.needsDirective(pkg) && !slices.ContainsFunc(f.Directives, isLang)
}

// insertDirective adds the directive to the comment at the top of a build file, if there is one that belongs to no
// rule.
func insertDirective(content []byte) []byte {
	lines := strings.SplitAfter(string(content), "\n")
	n := 0
	for n < len(lines) && strings.HasPrefix(lines[n], "#") {
		n++
	}
	if n == 0 || n < len(lines) && strings.TrimSpace(lines[n]) != "" {
		return []byte(languageDirective + "\n\n" + string(content))
	}
	if !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n"
	}
	return []byte(strings.Join(slices.Insert(lines, n, languageDirective+"\n"), ""))
}
