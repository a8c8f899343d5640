package gobuild

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// crossCompilers finds the C and C++ compilers for a request: what its Env says, then CC_<arch> and CXX_<arch> of the
// machine's environment, such as CC_arm_v7 or CC_arm, then Debian's <triplet>-gcc and -g++, then, for the machine's own
// architecture, what the go command would take. cc is the C compiler that it is, with its arguments.
func crossCompilers(r Request, env map[string]string) (set []string, cc string, err error) {
	row := r.Row
	for _, c := range []struct{ variable, suffix string }{{"CC", "gcc"}, {"CXX", "g++"}} {
		names := []string{c.variable + "_" + row.Slug(), c.variable + "_" + strings.TrimPrefix(row.Slug(), row.OS+"_"), c.variable + "_" + row.Architecture}
		program := row.Triplet + "-" + c.suffix
		own := row.Go.OS == env["GOHOSTOS"] && row.Go.Arch == env["GOHOSTARCH"]
		chosen := ""
		if i := slices.IndexFunc(r.Env, func(e string) bool { return strings.HasPrefix(e, c.variable+"=") }); i >= 0 {
			chosen = strings.TrimPrefix(r.Env[i], c.variable+"=")
		} else if i := slices.IndexFunc(names, func(n string) bool { return os.Getenv(n) != "" }); i >= 0 {
			chosen = os.Getenv(names[i])
		} else if row.Triplet != "" && (!own || found(program)) {
			chosen = program
		} else if own {
			chosen = env[c.variable]
		}
		if c.variable == "CXX" {
			// Many cgo packages need no C++ at all.
			if found(chosen) {
				set = append(set, "CXX="+chosen)
			}
			continue
		}
		if !found(chosen) {
			return nil, "", missingCompiler(r, chosen, names)
		}
		cc = chosen
		set = append(set, "CC="+chosen)
	}
	return set, cc, nil
}

// found tells whether the program of a command line is there. One with a slash is the go command's to find: it may be
// relative to the tree.
func found(command string) bool {
	words := strings.Fields(strings.ReplaceAll(command, `"`, ""))
	if len(words) == 0 {
		return false
	}
	if strings.ContainsAny(words[0], `/\'`) {
		return true
	}
	_, err := exec.LookPath(words[0])
	return err == nil
}

// missingCompiler is the error for a C compiler that is not there, and how to get it.
func missingCompiler(r Request, program string, variables []string) error {
	var images []string
	for _, t := range r.Targets {
		if !slices.Contains(images, t.Name) {
			images = append(images, t.Name)
		}
	}
	name := "a C compiler"
	if program != "" {
		name = "the C compiler " + program
	}
	advice := fmt.Sprintf("name a C compiler for %s in %s, or in go: {env: {CC: ...}}", r.Row, strings.Join(slices.Compact(slices.Clone(variables[1:])), " or "))
	switch {
	case program == "gcc":
		advice = "install it (on Debian: apt-get install gcc libc6-dev), or " + advice
	case program == r.Row.Triplet+"-gcc":
		advice = "install it (on Debian: apt-get install " + debianCompiler(r.Row) + "), or " + advice
	}
	return &MissingToolError{fmt.Sprintf("%s, which %s needs for %s,", name, strings.Join(images, ", "), r.Row), advice}
}

// debianCompiler is the Debian package of a row's cross compiler. Its name has no underscores.
func debianCompiler(row arch.Row) string {
	if machine, windows := strings.CutSuffix(row.Triplet, "-w64-mingw32"); windows {
		return "gcc-mingw-w64-" + strings.ReplaceAll(machine, "_", "-")
	}
	return "gcc-" + strings.ReplaceAll(row.Triplet, "_", "-")
}

// compilerIdentity changes whenever a C compiler does, or the C library that it links with. The go command notices the
// first, and not the second: `go help cache`.
//
// libraries are names of further libraries that it links with.
func (b *Builder) compilerIdentity(ctx context.Context, r Request, libraries []string) (string, error) {
	_, cc, err := crossCompilers(r, b.tool.env)
	if err != nil {
		return "", err
	}
	words := strings.Fields(cc)
	ask := func(args ...string) string {
		cmd := exec.CommandContext(ctx, words[0], append(slices.Clone(words[1:]), args...)...)
		cmd.Dir = b.dir
		cmd.Env = append(append(os.Environ(), r.Env...), "LC_ALL=C")
		bind(cmd)
		out, _ := cmd.CombinedOutput() // one that cannot answer is known by its file, and fails later with a reason
		return strings.TrimSpace(string(out))
	}
	// Its version, its target, its sysroot, and where it looks for headers.
	parts := []string{cc, ask("-v", "-E", "-x", "c", os.DevNull)}
	files := []string{words[0]}
	if path, err := exec.LookPath(words[0]); err == nil {
		files[0] = path
	}
	names := []string{"libc.so", "libc.so.6", "libc.a", "crt1.o"}
	for _, l := range libraries {
		names = append(names, "lib"+l+".so", "lib"+l+".a")
	}
	for _, name := range names {
		files = append(files, ask("-print-file-name="+name))
	}
	for _, name := range files {
		if target, err := filepath.EvalSymlinks(name); err == nil {
			name = target
		}
		if info, err := os.Stat(name); err == nil {
			name = fmt.Sprint(name, info.Size(), info.ModTime().UnixNano())
		}
		parts = append(parts, name)
	}
	return digest(parts), ctx.Err()
}
