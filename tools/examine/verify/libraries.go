package verify

import (
	"fmt"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// libraryFinder finds the shared libraries that the programs of an image need.
type libraryFinder struct {
	root   *rootfs
	row    arch.Row
	config v1.Config
	// loaders are the dynamic loaders of the programs, by path.
	loaders map[string]*loader
	// byName lists the libraries of the image by file name. It is nil until it is needed.
	byName map[string][]string
	// explained caches the results of explain.
	explained map[string]explanation
}

func newLibraryFinder(root *rootfs, row arch.Row, config v1.Config) *libraryFinder {
	return &libraryFinder{
		root:      root,
		row:       row,
		config:    config,
		loaders:   map[string]*loader{},
		explained: map[string]explanation{},
	}
}

func (l *libraryFinder) loader(interpreter string) *loader {
	if _, ok := l.loaders[interpreter]; !ok {
		l.loaders[interpreter] = newLoader(l.root, l.row, interpreter, l.config.Env)
	}
	return l.loaders[interpreter]
}

// missingLibrary is a library that the loader does not find, and the program or library that needs it.
type missingLibrary struct{ name, by string }

// findMissing returns the missing libraries of a program and, if whole is set, those of its libraries.
func (l *libraryFinder) findMissing(from *loader, e *program, whole bool) []missingLibrary {
	first := &object{path: e.path, links: e.links}
	loaded := map[string]bool{path.Base(e.interpreter): true} // by the names that can refer to them
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

// find returns the path at which the loader finds a library, "" if it does not, and the library if it was examined.
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

// usable reports whether a path leads to a library for the right machine. Loaders skip all others. Files that are
// neither executable nor named like a library have not been examined and count as usable.
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

// copiesOf lists all paths of the image with the file name of a library.
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

// explanation is why the loader does not find a library.
type explanation struct {
	text string
	// usable is set if the image has a suitable library in another directory.
	usable bool
}

func (l *libraryFinder) explain(name string) explanation {
	if e, ok := l.explained[name]; ok {
		return e
	}
	e := explanation{text: "which the image does not have"}
	for _, at := range l.copiesOf(name) {
		if library, ok := l.usable(at); ok && library != nil {
			e = explanation{fmt.Sprintf("which the image has as %s, where the loader does not search", at), true}
			break
		} else if found := l.root.resolve(at); found.program != nil && !found.program.isScript() {
			e.text = fmt.Sprintf("which the image has only for another machine: %s is %s", at, found.program.header)
		}
	}
	l.explained[name] = e
	return e
}

// checkLibraries checks that the libraries of a program exist.
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
			p.note(NoteLibrary, at, "its libraries are not checked: %s cannot be read", from.unreadable)
		}
		return
	}
	// Packages include programs with optional dependencies. Only what a container starts must work.
	report := p.noteMissingLibrary
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

func (p *programChecks) noteMissingLibrary(at location, format string, args ...any) {
	p.note(NoteLibrary, at, format, args...)
}

func (p *programChecks) missingLibrary(at location, format string, args ...any) {
	p.problem(finding.MissingLibrary, at, format, args...)
}

// checkLibrary checks a library of layer l that is not executable, unless a higher layer hides it.
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
		p.note(NoteOtherPlatform, at, "is %s, and %s runs %s", e.header, p.platform, p.row.Header)
	case e.unreadable == "" && e.links != nil && !p.root.partial:
		p.noteMissingLibraries(at, e)
	}
}

// noteMissingLibraries notes what a library needs and the image does not have in any directory. Whether the program
// that loads it has already loaded those libraries is not known.
func (p *programChecks) noteMissingLibraries(at location, e *program) {
	for _, name := range e.links.needed {
		p.root.lookups++
		if p.root.overLimit() {
			return
		}
		if why := p.libraries.explain(name); !why.usable {
			p.note(NoteLibrary, at, "it needs the library %s, %s", name, why.text)
		}
	}
}
