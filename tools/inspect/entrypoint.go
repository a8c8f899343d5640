package inspect

import (
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// defaultPath is where runtimes look for programs if the image does not say.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// entrypoint checks that what a container would start is there and can be executed.
func (p *programs) entrypoint(config v1.Config) {
	argv := config.Entrypoint
	if len(argv) == 0 {
		argv = config.Cmd
	}
	if len(argv) == 0 || argv[0] == "" {
		p.note(place{}, "has neither an entrypoint nor a command")
		return
	}
	name := argv[0]
	candidates := p.candidates(name, config)
	var plain located // found, but not executable
	for _, candidate := range candidates {
		found := p.root.resolve(candidate)
		switch {
		case !found.found:
		case found.kind == regular && (found.executable || p.root.windows):
			p.starts(name, found)
			p.start(found.program, config)
			if len(config.Entrypoint) > 0 && len(config.Cmd) > 0 {
				// Many entrypoints are scripts and supervisors that start the command.
				p.start(p.executable(config.Cmd[0], config), config)
			}
			return
		case !plain.found:
			plain = found
		}
	}
	at := plain.place
	at.file = plain.path
	switch {
	case p.root.exhausted():
	case plain.found && plain.kind == regular:
		p.problem(at, "the entrypoint %s is not executable", name)
	case plain.found:
		p.problem(at, "the entrypoint %s is no regular file", name)
	case p.root.partial: // it may be in a layer that could not be read
	case len(candidates) == 0:
		p.problem(place{}, "the entrypoint %s cannot be found: PATH is empty", name)
	case strings.ContainsAny(name, `/\`):
		p.problem(place{}, "the entrypoint %s does not exist", name)
	default:
		p.problem(place{}, "the entrypoint %s is in no directory of PATH", name)
	}
}

// start takes note of a program that a container starts, and of what runs it.
func (p *programs) start(e *program, config v1.Config) {
	for range 4 { // as many interpreters as Linux accepts of interpreters
		if e == nil || p.started[e] {
			return
		}
		p.started[e] = true
		if !e.script() || p.root.windows {
			return
		}
		name := e.interpreter
		if !path.IsAbs(name) {
			name = join("/", config.WorkingDir, name)
		}
		runner := p.executable(name, config)
		if runner != nil && path.Base(name) == "env" && e.argument != "" {
			p.started[runner] = true
			runner = p.executable(e.argument, config)
		}
		e = runner
	}
}

// executable finds the program that a name stands for, nil where there is none.
func (p *programs) executable(name string, config v1.Config) *program {
	for _, candidate := range p.candidates(name, config) {
		if found := p.root.resolve(candidate); found.found && found.kind == regular && found.executable {
			return found.program
		}
	}
	return nil
}

// starts looks at the file that is started.
func (p *programs) starts(name string, found located) {
	at := found.place
	at.file = found.path
	p.main = found.program
	switch {
	case found.program == nil && p.root.windows && !windowsProgram(found.path):
		// A batch file, which cmd.exe starts.
	case found.program == nil:
		p.problem(at, "the entrypoint %s is neither %s nor a script with a #! line", name, article(string(p.row.Header.Format)))
	case found.program.script() && p.root.windows:
		p.problem(at, "the entrypoint %s is a script, and Windows knows no #! lines", name)
	}
}

func article(format string) string {
	if format == "ELF" {
		return "an ELF executable"
	}
	return "a " + format + " executable"
}

// candidates lists the paths that name can stand for, in the order in which they are tried.
func (p *programs) candidates(name string, config v1.Config) []string {
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

// join is path.Join without the cleaning: what .. means depends on links.
func join(parts ...string) string { return strings.Join(parts, "/") }

// windowsCandidates does the same for Windows, whose layers have the file system below Files. Image spec, "Layer
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

// variable finds a variable in a list of NAME=value; of several, the last one counts.
func variable(env []string, name string, foldCase bool) (value string, ok bool) {
	for _, e := range env {
		n, v, _ := strings.Cut(e, "=")
		if n == name || foldCase && strings.EqualFold(n, name) {
			value, ok = v, true
		}
	}
	return value, ok
}
