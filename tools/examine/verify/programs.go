package verify

import (
	"fmt"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// programChecks checks the programs of a child.
type programChecks struct {
	*findings
	root     *rootfs
	row      arch.Row
	platform arch.Platform
	config   v1.Config
	// main is the program of the entrypoint, nil if there is none.
	main *program
	// started are the programs that a container starts: the entrypoint, its interpreters, and the command.
	started map[*program]bool
	// loading finds the libraries of programs.
	libraries *libraryFinder
	// unproven are the programs without evidence of their variant, one per layer and reason.
	unproven []unprovenProgram
}

// unprovenProgram is a program without build settings, and the number of similar ones in its layer.
type unprovenProgram struct {
	place  location
	why    string
	others int
}

// checkProgram checks a program of layer l, unless a higher layer hides it.
func (p *programChecks) checkProgram(l imageLayer, e *program) {
	seen := p.root.resolve(e.path)
	if !seen.found || seen.program != e {
		return
	}
	at := l.place
	at.file = e.path
	if e.isScript() {
		// Packages include scripts whose interpreter is optional, such as examples. Only what a container starts must work.
		report := p.noteMissingInterpreter
		if p.started[e] {
			report = p.missingInterpreter
		}
		p.checkInterpreter(report, at, e, "its #! line names")
		return
	}
	if e.header != p.row.Header {
		p.checkMachine(at, e)
		return
	}
	switch {
	case e.truncated != "":
		p.problem(finding.IncompleteProgram, at, "is incomplete: %s", e.truncated)
		return
	case e.unreadable != "" && p.started[e]:
		p.problem(finding.NotExamined, at, "cannot be examined: %s", e.unreadable)
		return
	case e.unreadable != "":
		p.note(NoteProgram, at, "cannot be examined: %s", e.unreadable)
		return
	}
	p.checkInterpreter(p.missingInterpreter, at, e, "its interpreter is")
	p.checkLibraries(at, e)
	p.checkBuildSettings(at, e)
}

// checkMachine reports a binary for another machine than that of the platform.
func (p *programChecks) checkMachine(at location, e *program) {
	text := fmt.Sprintf("is %s, and %s runs %s", e.header, p.platform, p.row.Header)
	switch {
	case p.started[e]:
		p.problem(finding.WrongPlatform, at, "%s", text)
	case e.header.Format != p.row.Header.Format:
		// Programs of another system are data, such as installers and the PE files of .NET.
		p.note(NoteOtherPlatform, at, "%s", text)
	case p.row.Architecture == "amd64" && e.header == i386.Header:
		p.note(NoteOtherPlatform, at, "%s; most kernels run it, too", text)
	default:
		p.problem(finding.WrongPlatform, at, "%s", text)
	}
}

func (p *programChecks) noteMissingInterpreter(at location, format string, args ...any) {
	p.note(NoteInterpreter, at, format, args...)
}

func (p *programChecks) missingInterpreter(at location, format string, args ...any) {
	p.problem(finding.MissingInterpreter, at, format, args...)
}

var i386, _ = arch.Find(arch.Platform{OS: "linux", Architecture: "386"})

// checkInterpreter checks that the interpreter of a program exists and can be executed.
func (p *programChecks) checkInterpreter(report func(location, string, ...any), at location, e *program,
	subject string) {
	if e.interpreter == "" || p.root.partial || p.root.windows {
		return
	}
	name := e.interpreter
	if !path.IsAbs(name) {
		name = path.Join("/", p.config.WorkingDir, name)
	}
	switch found := p.root.resolve(name); {
	case p.root.overLimit():
	case !found.found:
		report(at, "%s %s, which the image does not have", subject, e.interpreter)
	case found.kind != regular:
		report(at, "%s %s, which is not a regular file", subject, e.interpreter)
	case !found.executable:
		report(at, "%s %s, which is not executable", subject, e.interpreter)
	case found.program == nil:
		report(at, "%s %s, which is neither %s nor a script", subject, e.interpreter, article(string(p.row.Header.Format)))
	case e.isScript() && path.Base(name) == env && e.argument != "":
		if _, ok := p.find(e.argument); !ok && !p.root.overLimit() {
			report(at, "%s %s %s, which is in no directory of PATH", subject, e.interpreter, e.argument)
		}
	}
}

// env is the program that scripts use to look up their interpreter in PATH.
const env = "env"

// checkBuildSettings compares the Go build information with the platform.
func (p *programChecks) checkBuildSettings(at location, e *program) {
	goos, goarch := e.settings["GOOS"], e.settings["GOARCH"]
	if goos != "" && goos != p.row.Go.OS || goarch != "" && goarch != p.row.Go.Arch {
		p.problem(finding.WrongPlatform, at, "built for %s/%s, which is not %s", goos, goarch, p.platform)
		return
	}
	level := p.row.Go.Level
	if level.Name == "" {
		return // the architecture has no levels
	}
	built, ok := e.settings[level.Name]
	switch {
	case len(e.settings) == 0:
		p.addUnproven(at, "carries no build settings")
	case !ok:
		p.addUnproven(at, "carries no setting "+level.Name)
	default:
		switch compareLevel(level, built) {
		case levelTooHigh:
			p.problem(finding.WrongPlatform, at, "built for %s=%s, which %s cannot run", level.Name, built, p.platform)
		case levelUnknown:
			p.note(NoteVariant, at, "built for %s=%s, an unknown level: variant not proved", level.Name, built)
		}
	}
}

// addUnproven records a program whose variant is not proved. There can be thousands in a layer.
func (p *programChecks) addUnproven(at location, why string) {
	for i, u := range p.unproven {
		if u.place.layer == at.layer && u.why == why {
			p.unproven[i].others++
			return
		}
	}
	p.unproven = append(p.unproven, unprovenProgram{at, why, 0})
}

// noteUnproven notes the programs that addUnproven recorded.
func (p *programChecks) noteUnproven() {
	for _, u := range p.unproven {
		switch u.others {
		case 0:
			p.note(NoteVariant, u.place, "%s: variant not proved", u.why)
		case 1:
			p.note(NoteVariant, u.place, "%s, like another file of the layer: variant not proved", u.why)
		default:
			p.note(NoteVariant, u.place, "%s, like %d other files of the layer: variant not proved", u.why, u.others)
		}
	}
}
