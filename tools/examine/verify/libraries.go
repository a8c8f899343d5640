package verify

import (
	"fmt"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// libraries finds the shared libraries that the programs of an image need.
type libraryFinder struct {
	root   *rootfs
	row    arch.Row
	config v1.Config
	// loaders are those that programs have asked for, by the interpreter's path.
	loaders map[string]*loader
	// named has the libraries of the image by the last word of their path, nil until it is needed.
	byName map[string][]string
	// explained has what explain has said.
	explained map[string]explanation
}

func newLibraryFinder(root *rootfs, row arch.Row, config v1.Config) *libraryFinder {
	return &libraryFinder{root: root, row: row, config: config, loaders: map[string]*loader{}, explained: map[string]explanation{}}
}

func (l *libraryFinder) loader(interpreter string) *loader {
	if _, ok := l.loaders[interpreter]; !ok {
		l.loaders[interpreter] = newLoader(l.root, l.row, interpreter, l.config.Env)
	}
	return l.loaders[interpreter]
}

// lost is a library that is not found, and what needs it: the program itself or one of its libraries.
type missingLibrary struct{ name, by string }

// look finds what is missing of what a program needs, and of what its libraries need in turn if whole is set.
func (l *libraryFinder) findMissing(from *loader, e *program, whole bool) []missingLibrary {
	first := &object{path: e.path, links: e.links}
	loaded := map[string]bool{path.Base(e.interpreter): true} // by the names that they can be asked for with
	if itself := l.root.resolve(e.interpreter); itself.found && itself.program != nil && itself.program.links != nil {
		loaded[itself.program.links.soname] = true
	}
	seen := map[*program]bool{}
	var all []missingLibrary
	for todo := []*object{first}; len(todo) > 0; todo = todo[1:] {
		o := todo[0]
		for _, name := range o.links.needed {
			if l.root.overLimit() {
				return nil
			}
			if loaded[name] || from.builtIn(name) {
				continue
			}
			loaded[name] = true
			at, library := l.find(from, o, name)
			switch {
			case at == "":
				all = append(all, missingLibrary{name, o.path})
			case whole && library != nil && library.links != nil && !seen[library]:
				seen[library] = true
				if library.links.soname != "" {
					loaded[library.links.soname] = true
				}
				todo = append(todo, &object{at, library.links, o, o.depth + 1})
			}
		}
	}
	return all
}

// find returns the path where the loader finds a library, "" for none, and what is known of it.
func (l *libraryFinder) find(from *loader, o *object, name string) (string, *program) {
	candidates := from.candidates(o, name)
	l.root.lookups += len(candidates) + o.depth
	for _, candidate := range candidates {
		if l.root.overLimit() {
			return "", nil
		}
		if !path.IsAbs(candidate) {
			candidate = join("/", l.config.WorkingDir, candidate)
		}
		if library, ok := l.usable(candidate); ok {
			return candidate, library
		}
	}
	return "", nil
}

// usable tells whether a path leads to a library of the right machine; loaders pass over all others. What is called
// otherwise than libraries are, and not executable, has not been examined: nothing is known of it.
func (l *libraryFinder) usable(candidate string) (*program, bool) {
	at := l.root.resolve(candidate)
	switch {
	case !at.found || at.kind != regular:
		return nil, false
	case at.program == nil:
		return nil, !libraryName(at.path) && !at.executable
	}
	return at.program, at.program.header == l.row.Header
}

// elsewhere lists the paths of the image that have a name, wherever they are.
func (l *libraryFinder) copiesOf(name string) []string {
	if l.byName == nil {
		l.byName = map[string][]string{}
		for _, layer := range l.root.layers {
			for at, e := range layer.entries {
				if e.kind != directory && libraryName(at) {
					l.byName[path.Base(at)] = append(l.byName[path.Base(at)], at)
				}
			}
		}
		for base, all := range l.byName {
			slices.Sort(all)
			l.byName[base] = slices.Compact(all)
		}
	}
	return l.byName[path.Base(name)]
}

// explanation says what is the matter with a library that the loader does not find.
type explanation struct {
	text string
	// there is set where the image has one that could be used.
	usable bool
}

func (l *libraryFinder) explain(name string) explanation {
	if e, ok := l.explained[name]; ok {
		return e
	}
	e := explanation{text: "which the image does not have"}
	for _, at := range l.copiesOf(name) {
		if library, ok := l.usable(at); ok && library != nil {
			e = explanation{fmt.Sprintf("which the image has as %s, where the loader does not look", at), true}
			break
		} else if found := l.root.resolve(at); found.program != nil && !found.program.isScript() {
			e.text = fmt.Sprintf("which the image has only for another machine: %s is %s", at, found.program.header)
		}
	}
	l.explained[name] = e
	return e
}

// libraries checks that the libraries of a program are there.
func (p *programChecks) checkLibraries(at location, e *program) {
	if e.links == nil || len(e.links.needed) == 0 || p.root.partial || p.root.windows {
		return
	}
	if e.interpreter == "" {
		p.noteMissingLibraries(at, e)
		return
	}
	from := p.libraries.loader(e.interpreter)
	if from.unreadable != "" {
		if p.started[e] {
			p.note(at, "the libraries it needs are not looked for: %s cannot be examined", from.unreadable)
		}
		return
	}
	// Packages bring programs that need more than the package: what the image is there to start has to work.
	report := p.note
	if p.started[e] {
		report = p.missingLibrary
	}
	for _, l := range p.libraries.findMissing(from, e, p.started[e]) {
		behalf := ""
		if l.by != e.path {
			behalf = " (for " + l.by + ")"
		}
		report(at, "it needs the library %s%s, %s", l.name, behalf, p.libraries.explain(l.name).text)
	}
}

func (p *programChecks) missingLibrary(at location, format string, args ...any) {
	p.problem(finding.MissingLibrary, at, format, args...)
}

// plugin looks at a library of layer l that is not executable, if the image shows it.
func (p *programChecks) checkLibrary(l imageLayer, e *program) {
	seen := p.root.resolve(e.path)
	if !seen.found || seen.program != e {
		return
	}
	at := l.place
	at.file = e.path
	switch {
	case e.header.Format != arch.ELF:
	case e.truncated != "":
		p.problem(finding.IncompleteProgram, at, "is incomplete: %s", e.truncated)
	case e.header != p.row.Header:
		p.note(at, "is %s, and %s runs %s", e.header, p.platform, p.row.Header)
	case e.unreadable == "" && e.links != nil && !p.root.partial:
		p.noteMissingLibraries(at, e)
	}
}

// needs takes note of what a library needs and the image has nowhere. Which program loads it, and has loaded what it
// needs before, is not known.
func (p *programChecks) noteMissingLibraries(at location, e *program) {
	for _, name := range e.links.needed {
		p.root.lookups++
		if p.root.overLimit() {
			return
		}
		if why := p.libraries.explain(name); !why.usable {
			p.note(at, "it needs the library %s, %s", name, why.text)
		}
	}
}
