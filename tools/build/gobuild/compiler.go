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

// crossCompilers finds the C and C++ compilers for a request and returns the variables to set for the go command, and
// the C compiler with its arguments. The first of these that is set or installed is used:
//
//   - CC and CXX in the Env of the request
//   - CC_<platform>, CC_<architecture> and the same for CXX in the environment, such as CC_arm_v7 or CC_arm
//   - Debian's cross compilers <triplet>-gcc and <triplet>-g++
//   - for the architecture of this machine, the default of the go command
func crossCompilers(r Request, goEnv map[string]string) (set []string, cc string, err error) {
	row := r.Row
	for _, c := range []struct{ variable, suffix string }{{"CC", "gcc"}, {"CXX", "g++"}} {
		names := []string{
			c.variable + "_" + row.Slug(),
			c.variable + "_" + strings.TrimPrefix(row.Slug(), row.OS+"_"),
			c.variable + "_" + row.Architecture,
		}
		program := row.Triplet + "-" + c.suffix
		isHost := row.Go.OS == goEnv["GOHOSTOS"] && row.Go.Arch == goEnv["GOHOSTARCH"]
		chosen := ""
		if i := slices.IndexFunc(r.Env, func(e string) bool { return strings.HasPrefix(e, c.variable+"=") }); i >= 0 {
			chosen = strings.TrimPrefix(r.Env[i], c.variable+"=")
		} else if i := slices.IndexFunc(names, func(n string) bool { return os.Getenv(n) != "" }); i >= 0 {
			chosen = os.Getenv(names[i])
		} else if row.Triplet != "" && (!isHost || installed(program)) {
			chosen = program
		} else if isHost {
			chosen = goEnv[c.variable]
		}
		if c.variable == "CXX" {
			// A missing C++ compiler is not an error, because most cgo packages need none.
			if installed(chosen) {
				set = append(set, "CXX="+chosen)
			}
			continue
		}
		if !installed(chosen) {
			return nil, "", missingCompiler(r, chosen, names)
		}
		cc = chosen
		set = append(set, "CC="+chosen)
	}
	return set, cc, nil
}

// installed reports whether the program of a command line exists. It returns true for a program with a slash, which the
// go command resolves relative to the tree.
func installed(command string) bool {
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

// missingCompiler returns the error for a C compiler that is not installed.
func missingCompiler(r Request, program string, variables []string) error {
	var images []string
	for _, t := range r.Targets {
		if !slices.Contains(images, t.Name) {
			images = append(images, t.Name)
		}
	}
	name := "C compiler"
	if program != "" {
		name += " " + program
	}
	names := slices.Compact(slices.Clone(variables[1:]))
	advice := fmt.Sprintf("set %s to a C compiler for %s, or configure go: {env: {CC: ...}}",
		strings.Join(names, " or "), r.Row)
	switch {
	case program == "gcc":
		advice = "install it (on Debian: apt-get install gcc libc6-dev), or " + advice
	case program == r.Row.Triplet+"-gcc":
		advice = "install it (on Debian: apt-get install " + debianCompiler(r.Row) + "), or " + advice
	}
	return &MissingToolError{fmt.Sprintf("compiling %s for %s: %s", strings.Join(images, ", "), r.Row, name), advice}
}

// debianCompiler returns the Debian package of the cross compiler for a platform. Package names have no underscores.
func debianCompiler(row arch.Row) string {
	if machine, windows := strings.CutSuffix(row.Triplet, "-w64-mingw32"); windows {
		return "gcc-mingw-w64-" + strings.ReplaceAll(machine, "_", "-")
	}
	return "gcc-" + strings.ReplaceAll(row.Triplet, "_", "-")
}

// compilerIdentity returns a string that changes if the C compiler changes, or a library that it links with: the C
// library, or one of the named libraries. The go command detects changes of the compiler, but not of libraries (see
// `go help cache`).
func (b *Builder) compilerIdentity(ctx context.Context, r Request, libraries []string) (string, error) {
	_, cc, err := crossCompilers(r, b.tool.env)
	if err != nil {
		return "", err
	}
	words := strings.Fields(cc)
	query := func(args ...string) string {
		cmd := exec.CommandContext(ctx, words[0], append(slices.Clone(words[1:]), args...)...)
		cmd.Dir = b.dir
		cmd.Env = append(append(os.Environ(), r.Env...), "LC_ALL=C")
		killWithParent(cmd)
		out, _ := cmd.CombinedOutput() // if it fails, its file identifies it, and compiling reports the error
		return strings.TrimSpace(string(out))
	}
	// The output names the version, target, sysroot and header search path.
	parts := []string{cc, query("-v", "-E", "-x", "c", os.DevNull)}
	files := []string{words[0]}
	if path, err := exec.LookPath(words[0]); err == nil {
		files[0] = path
	}
	names := []string{"libc.so", "libc.so.6", "libc.a", "crt1.o"}
	for _, l := range libraries {
		names = append(names, "lib"+l+".so", "lib"+l+".a")
	}
	for _, name := range names {
		files = append(files, query("-print-file-name="+name))
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
