package run

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/sys/user"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// program is the ELF file of an image that the kernel or an emulator starts.
type program struct {
	path       string   // in the tree, absolute
	args       []string // with the name the program is called by in front
	env        []string
	dir        string
	userSpec   string // as in the image's config
	user       *user.ExecUser
	volumes    []string
	stopSignal string
	// privileged is whether the image exposes a port below 1024.
	privileged bool
}

// defaultPath is what container engines give an image that sets no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// newProgram returns the program that the image starts with the options o.
func newProgram(t *tree, row arch.Row, o Options) (*program, error) {
	file, err := o.Image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image's config: %w", err)
	}
	c := file.Config
	p := &program{
		args:       commandLine(c, o),
		dir:        path.Join("/", c.WorkingDir),
		userSpec:   c.User,
		volumes:    slices.Sorted(maps.Keys(c.Volumes)),
		stopSignal: c.StopSignal,
	}
	for port := range c.ExposedPorts {
		number, _, _ := strings.Cut(port, "/")
		if n, err := strconv.Atoi(number); err == nil && n > 0 && n < 1024 {
			p.privileged = true
		}
	}
	if len(p.args) == 0 || p.args[0] == "" {
		return nil, &ProgramError{"image has neither an entrypoint nor a cmd", "append a command: -- COMMAND [ARGS]"}
	}
	if p.user, err = findUser(t, c.User); err != nil {
		return nil, fmt.Errorf("the image's user %q: %w", c.User, err)
	}
	p.env = environment([]string{"PATH=" + defaultPath, "HOME=" + p.user.Home}, c.Env, o.Env)
	if p.path, err = lookPath(t, p.args[0], p.dir, p.env); err != nil {
		return nil, err
	}
	return p, p.resolve(t, row)
}

// commandLine puts entrypoint and command together as container engines do.
func commandLine(c v1.Config, o Options) []string {
	entrypoint, cmd := c.Entrypoint, c.Cmd
	if o.Entrypoint != nil {
		entrypoint, cmd = o.Entrypoint, nil
	}
	if o.Args != nil {
		cmd = o.Args
	}
	return slices.Concat(entrypoint, cmd)
}

// environment merges lists of variables; the last value of a variable wins, in the position of the first.
func environment(lists ...[]string) []string {
	var env []string
	place := map[string]int{}
	for _, kv := range slices.Concat(lists...) {
		name, _, _ := strings.Cut(kv, "=")
		if i, ok := place[name]; ok {
			env[i] = kv
			continue
		}
		place[name] = len(env)
		env = append(env, kv)
	}
	return env
}

func lookup(env []string, name string) (value string, ok bool) {
	for _, kv := range env {
		if n, v, _ := strings.Cut(kv, "="); n == name {
			return v, true
		}
	}
	return "", false
}

// findUser resolves the user of an image config against the image's own files: name or ID, with or without group.
func findUser(t *tree, spec string) (*user.ExecUser, error) {
	read := func(name string) io.Reader {
		f, err := t.open(name)
		if err != nil {
			return bytes.NewReader(nil)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, 1<<20))
		if err != nil {
			return bytes.NewReader(nil)
		}
		return bytes.NewReader(text)
	}
	return user.GetExecUser(spec, &user.ExecUser{Home: "/"}, read("/etc/passwd"), read("/etc/group"))
}

// lookPath finds the program name as execvp does, inside the tree.
func lookPath(t *tree, name, dir string, env []string) (string, error) {
	var candidates []string
	search, _ := lookup(env, "PATH")
	switch {
	case path.IsAbs(name):
		candidates = []string{name}
	case strings.Contains(name, "/"):
		candidates = []string{path.Join(dir, name)}
	default:
		for d := range strings.SplitSeq(search, ":") {
			if path.IsAbs(d) { // as in os/exec, nothing is found by way of the working directory
				candidates = append(candidates, path.Join(d, name))
			}
		}
	}
	var found string
	for _, c := range candidates {
		info, err := t.stat(c)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if info.Mode().Perm()&0o111 != 0 {
			return c, nil
		}
		found = c
	}
	switch {
	case found != "":
		return "", &ProgramError{fmt.Sprintf("%q is not executable", found), "set its mode to 0755 in the image"}
	case strings.Contains(name, "/"):
		return "", &ProgramError{fmt.Sprintf("%q is not a file in the image", candidates[0]), ""}
	}
	return "", &ProgramError{fmt.Sprintf("%q not found in the image's PATH (%s)", name, search), ""}
}

// maxInterpreters is how many scripts may be interpreted by scripts, as in the Linux kernel.
const maxInterpreters = 5

// resolve follows the #! lines of scripts to an ELF file, as the kernel would but an emulator does not, and checks that
// the file is for the platform.
func (p *program) resolve(t *tree, row arch.Row) error {
	for range maxInterpreters {
		head, loader, err := inspect(t, p.path)
		if err != nil {
			return fmt.Errorf("reading %s: %w", p.path, err)
		}
		line, isScript := bytes.CutPrefix(head, []byte("#!"))
		if !isScript {
			return p.check(t, row, head, loader)
		}
		line, _, _ = bytes.Cut(line, []byte("\n"))
		args := interpreterOf(string(line))
		if len(args) == 0 {
			return &ProgramError{p.path + ": no interpreter after #!", ""}
		}
		p.args = slices.Concat(args, []string{p.path}, p.args[1:])
		script := p.path
		if p.path, err = lookPath(t, "./"+args[0], "/", nil); err != nil {
			return &ProgramError{fmt.Sprintf("the interpreter of %s: %s", script, err), ""}
		}
	}
	return &ProgramError{p.path + ": too many nested script interpreters", ""}
}

// interpreterOf splits what follows #! as Linux does: the interpreter, then all the rest as one argument.
func interpreterOf(line string) []string {
	const blanks = " \t"
	line = strings.Trim(line, blanks)
	if line == "" {
		return nil
	}
	i := strings.IndexAny(line, blanks)
	if i < 0 {
		return []string{line}
	}
	return []string{line[:i], strings.TrimLeft(line[i:], blanks)}
}

// check makes sure that the ELF file at p.path, which begins with head, is for the platform and has its loader.
func (p *program) check(t *tree, row arch.Row, head []byte, loader string) error {
	header, ok := arch.ReadHeader(head)
	switch {
	case !ok:
		return &ProgramError{p.path + " is neither an ELF file nor a script with #!", ""}
	case header != row.Header:
		return &ProgramError{fmt.Sprintf("%s is %s, but the platform is %s", p.path, header, row), ""}
	case loader == "":
		return nil
	}
	if _, err := t.stat(loader); err != nil {
		return &ProgramError{fmt.Sprintf("%s needs the dynamic loader %s, which is not in the image", p.path, loader),
			"link it statically (CGO_ENABLED=0), or use a base with a C library"}
	}
	return nil
}

// inspect reads the beginning of a file, and the dynamic loader of an ELF file.
func inspect(t *tree, name string) (head []byte, loader string, err error) {
	f, err := t.open(name)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	head = make([]byte, arch.HeaderSize)
	n, err := io.ReadFull(f, head)
	if n == 0 && err != io.EOF {
		return nil, "", err
	}
	if bytes.HasPrefix(head, []byte("\x7fELF")) {
		if loader, err = loaderOf(f); err != nil {
			return nil, "", &ProgramError{fmt.Sprintf("invalid ELF file: %s", err), ""}
		}
	}
	return head[:n], loader, nil
}
