package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// defaultPath is the PATH that runtimes use for images without one.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// checkEntrypoint checks that the program that a container starts exists and can be executed.
func (p *programChecks) checkEntrypoint(config v1.Config) {
	argv := config.Entrypoint
	if len(argv) == 0 {
		argv = config.Cmd
	}
	if len(argv) == 0 || argv[0] == "" {
		p.note(NoteNoEntrypoint, location{}, "has neither an entrypoint nor a command")
		return
	}
	name := argv[0]
	candidates := p.candidates(name, config)
	var plain resolved // found, but not executable
	for _, candidate := range candidates {
		found := p.root.resolve(candidate)
		switch {
		case !found.found:
		case found.kind == regular && (found.executable || p.root.windows):
			p.checkStarted(name, found)
			p.markStarted(found.program, config)
			if len(config.Entrypoint) > 0 && len(config.Cmd) > 0 {
				// Many entrypoints are scripts and supervisors that start the command.
				p.markStarted(p.executable(config.Cmd[0]), config)
			}
			return
		case !plain.found:
			plain = found
		}
	}
	at := plain.place
	at.file = plain.path
	switch {
	case p.root.overLimit():
	case plain.found && plain.kind == regular:
		p.problem(finding.InvalidEntrypoint, at, "the entrypoint %s is not executable", name)
	case plain.found:
		p.problem(finding.InvalidEntrypoint, at, "the entrypoint %s is not a regular file", name)
	case p.root.partial: // it may be in a layer that was not read
	case len(candidates) == 0:
		p.problem(finding.MissingEntrypoint, location{}, "the entrypoint %s cannot be found: PATH is empty%s", name,
			p.similarPrograms(name))
	case strings.ContainsAny(name, `/\`):
		p.problem(finding.MissingEntrypoint, location{}, "the entrypoint %s does not exist%s", name, p.similarPrograms(name))
	default:
		p.problem(finding.MissingEntrypoint, location{}, "the entrypoint %s is in no directory of PATH%s", name,
			p.similarPrograms(name))
	}
}

// similarPrograms lists the programs of the image with the same file name.
func (p *programChecks) similarPrograms(name string) string {
	word := func(file string) string {
		base := path.Base(strings.ReplaceAll(file, `\`, "/"))
		if p.root.windows {
			base = strings.TrimSuffix(strings.ToLower(base), ".exe")
		}
		return base
	}
	var found []string
	for _, l := range p.root.layers {
		for _, e := range l.programs {
			if word(e.path) != word(name) || slices.Contains(found, e.path) {
				continue
			}
			if seen := p.root.resolve(e.path); seen.found && seen.program == e {
				found = append(found, e.path)
			}
		}
	}
	const most = 3
	switch {
	case len(found) == 0:
		return ""
	case len(found) > most:
		return fmt.Sprintf("; the image has %s and %d more", strings.Join(found[:most], ", "), len(found)-most)
	}
	return "; the image has " + strings.Join(found, ", ")
}

// markStarted records a program that a container starts, and its interpreters.
func (p *programChecks) markStarted(e *program, config v1.Config) {
	for range 4 { // the depth that Linux accepts
		if e == nil || p.started[e] {
			return
		}
		p.started[e] = true
		if !e.isScript() || p.root.windows {
			return
		}
		name := e.interpreter
		if !path.IsAbs(name) {
			name = join("/", config.WorkingDir, name)
		}
		runner := p.executable(name)
		if runner != nil && path.Base(name) == env && e.argument != "" {
			p.started[runner] = true
			runner = p.executable(e.argument)
		}
		e = runner
	}
}

// executable returns the program that a name selects, nil if there is none.
func (p *programChecks) executable(name string) *program {
	found, _ := p.find(name)
	return found.program
}

// find returns the executable file that a name selects.
func (p *programChecks) find(name string) (resolved, bool) {
	for _, candidate := range p.candidates(name, p.config) {
		if found := p.root.resolve(candidate); found.found && found.kind == regular && found.executable {
			return found, true
		}
	}
	return resolved{}, false
}

// checkStarted checks the file that a container starts.
func (p *programChecks) checkStarted(name string, found resolved) {
	at := found.place
	at.file = found.path
	p.main = found.program
	switch {
	case found.program == nil && p.root.windows && !windowsProgram(found.path):
		// a batch file for cmd.exe
	case found.program == nil:
		p.problem(finding.InvalidEntrypoint, at, "the entrypoint %s is neither %s nor a script with a #! line", name,
			article(string(p.row.Header.Format)))
	case found.program.isScript() && p.root.windows:
		p.problem(finding.InvalidEntrypoint, at, "the entrypoint %s is a script, and Windows ignores #! lines", name)
	}
}

func article(format string) string {
	if format == "ELF" {
		return "an ELF executable"
	}
	return "a " + format + " executable"
}

// candidates lists the paths that name can select, in the order in which a runtime tries them.
func (p *programChecks) candidates(name string, config v1.Config) []string {
	if p.root.windows {
		return windowsCandidates(name, config)
	}
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			name = join("/", config.WorkingDir, name)
		}
		return []string{name}
	}
	var found []string
	for _, dir := range searchPath(config) {
		found = append(found, join(dir, name))
	}
	return found
}

// searchPath lists the directories of PATH.
func searchPath(config v1.Config) []string {
	search, ok := variable(config.Env, "PATH", false)
	if !ok {
		search = defaultPath
	}
	return slices.DeleteFunc(strings.Split(search, ":"), func(dir string) bool { return !path.IsAbs(dir) })
}

// join is path.Join without cleaning, because the meaning of .. depends on symbolic links.
func join(parts ...string) string { return strings.Join(parts, "/") }

// windowsCandidates is candidates for Windows, whose layers have the file system in Files. Image spec, "Layer
// Filesystem Changeset", and CreateProcess.
func windowsCandidates(name string, config v1.Config) []string {
	name = strings.ReplaceAll(name, `\`, "/")
	inside := func(dir, name string) string {
		dir = strings.ReplaceAll(dir, `\`, "/")
		if len(dir) >= 2 && dir[1] == ':' {
			dir = dir[2:]
		}
		return join("/Files", dir, name)
	}
	var places []string
	switch {
	case len(name) >= 2 && name[1] == ':' || strings.HasPrefix(name, "/"):
		places = []string{inside(name, "")}
	case strings.Contains(name, "/"):
		places = []string{inside(config.WorkingDir, name)}
	default:
		places = []string{inside(config.WorkingDir, name)}
		search, ok := variable(config.Env, "PATH", true)
		if !ok {
			search = `C:\Windows\System32;C:\Windows`
		}
		for dir := range strings.SplitSeq(search, ";") {
			places = append(places, inside(dir, name))
		}
	}
	var found []string
	for _, p := range places {
		found = append(found, p)
		for _, extension := range []string{".exe", ".com", ".bat", ".cmd"} {
			found = append(found, strings.TrimSuffix(p, "/")+extension)
		}
	}
	return found
}

// variable returns the value of a variable in a list of NAME=value. The last one wins.
func variable(env []string, name string, foldCase bool) (value string, ok bool) {
	for _, e := range env {
		n, v, _ := strings.Cut(e, "=")
		if n == name || foldCase && strings.EqualFold(n, name) {
			value, ok = v, true
		}
	}
	return value, ok
}
