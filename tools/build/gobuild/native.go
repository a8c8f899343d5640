package gobuild

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// native is what C, C++ and assembly code of a package is made of and the go command does not look at: headers outside
// the directory of the package, libraries, what pkg-config answers. The go command's own cache ignores all of it
// (`go help cache`).
type native struct {
	// candidates are all paths that were looked for, whether they exist or not.
	candidates []string
	// files are those that exist.
	files []string
	// libraries are names, as in -lname, that no -L directory has: the C compiler knows where they are.
	libraries []string
	// flags is what pkg-config answers.
	flags string
}

// sourcesOf returns the files of a package that may include others.
func (p pkg) sourcesOf(cgo bool) []string {
	files := slices.Clone(p.SFiles)
	if cgo {
		for _, more := range [][]string{p.CgoFiles, p.CFiles, p.CXXFiles, p.MFiles, p.HFiles, p.FFiles, p.SwigFiles, p.SwigCXXFiles} {
			files = append(files, more...)
		}
	} else if len(files) > 0 {
		files = append(files, p.HFiles...)
	}
	return files
}

// native returns the native inputs of a package.
func (l listing) native(ctx context.Context, b *Builder, p pkg) native {
	if known, ok := l.natives[p.ImportPath]; ok {
		return known
	}
	var n native
	if files := p.sourcesOf(l.request.Cgo); len(files) > 0 && !p.Standard {
		n = b.scan(ctx, l.request, p, files)
	}
	l.natives[p.ImportPath] = n
	return n
}

// scan follows the includes and the linker flags of a package. It takes every file that an include could mean, and not
// only the first on the search path: one too many costs a compilation, and one too few a wrong program.
func (b *Builder) scan(ctx context.Context, r Request, p pkg, files []string) native {
	s := scanner{dir: p.Dir, seen: map[string]bool{}, ignored: func(file string) bool {
		return filepath.Dir(file) == filepath.Clean(p.Dir) && tracked(file) ||
			within(b.tool.env["GOMODCACHE"], file) || within(b.tool.env["GOROOT"], file)
	}}
	if r.Cgo {
		s.compilerFlags(slices.Concat(p.CgoCPPFLAGS, p.CgoCFLAGS, p.CgoCXXFLAGS, p.CgoFFLAGS))
		s.linkerFlags(p.CgoLDFLAGS)
		for _, name := range []string{"CGO_CPPFLAGS", "CGO_CFLAGS", "CGO_CXXFLAGS", "CGO_FFLAGS"} {
			s.compilerFlags(words(b.tool.setting(r, name)))
		}
		s.linkerFlags(words(b.tool.setting(r, "CGO_LDFLAGS")))
		for _, name := range []string{"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH"} {
			s.includes = append(s.includes, filepath.SplitList(b.tool.setting(r, name))...)
		}
		s.libraries = append(s.libraries, filepath.SplitList(b.tool.setting(r, "LIBRARY_PATH"))...)
		if len(p.CgoPkgConfig) > 0 {
			cflags, libs := b.pkgConfig(ctx, r, p)
			s.flags = strings.ReplaceAll(cflags+libs, b.dir, ".")
			s.compilerFlags(words(cflags))
			s.linkerFlags(words(libs))
		}
		s.findLibraries()
	}
	outside := func(dir string) bool { return !within(b.tool.env["GOMODCACHE"], s.absolute(dir)) }
	if outside(p.Dir) || slices.ContainsFunc(s.includes, outside) {
		for _, name := range files {
			s.follow(filepath.Join(p.Dir, name))
		}
	}
	if s.computed {
		s.everyFile(b.dir)
	}
	return s.result()
}

// tracked reports whether the go command looks at a file in the directory of a package.
func tracked(file string) bool {
	return slices.ContainsFunc(sourceSuffixes, func(s string) bool { return strings.HasSuffix(file, s) })
}

// pkgConfig asks pkg-config as the go command does. If it fails, the go command reports why.
func (b *Builder) pkgConfig(ctx context.Context, r Request, p pkg) (cflags, libs string) {
	var options, names []string
	for _, word := range p.CgoPkgConfig {
		if strings.HasPrefix(word, "-") {
			options = append(options, word)
		} else {
			names = append(names, word)
		}
	}
	ask := func(what string) string {
		cmd, err := b.tool.command(ctx, p.Dir, r)
		if err != nil {
			return ""
		}
		program := words(b.tool.setting(r, "PKG_CONFIG"))
		if len(program) == 0 {
			program = []string{"pkg-config"}
		}
		return b.output(ctx, p.Dir, cmd.Env, slices.Concat(program, []string{what}, options, []string{"--"}, names))
	}
	return ask("--cflags"), ask("--libs")
}

// systemLibraries are the libraries of the closure of a main package that the C compiler finds by itself.
func (l listing) systemLibraries(ctx context.Context, b *Builder, main pkg) []string {
	set := map[string]bool{}
	for _, path := range l.closure(main) {
		for _, name := range l.native(ctx, b, l.packages[path]).libraries {
			set[name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// scanner collects native inputs.
type scanner struct {
	dir       string          // of the package, in which the compiler runs
	includes  []string        // directories, as -I names them
	libraries []string        // directories, as -L names them
	names     []string        // libraries, as -l names them
	missing   []string        // those in none of the directories
	flags     string          // what pkg-config answers
	computed  bool            // some include is a macro
	seen      map[string]bool // candidates, and whether they exist
	ignored   func(file string) bool
}

// compilerFlags takes directories and files out of the flags of a compiler.
func (s *scanner) compilerFlags(flags []string) {
	for n := 0; n < len(flags); n++ {
		for _, option := range []string{"-isystem", "-iquote", "-idirafter", "-include", "-imacros", "-I"} {
			value, ok := strings.CutPrefix(flags[n], option)
			if !ok {
				continue
			}
			if value == "" && n+1 < len(flags) {
				n++
				value = flags[n]
			}
			if option == "-include" || option == "-imacros" {
				s.include(s.dir, value)
			} else {
				s.includes = append(s.includes, value)
			}
			break
		}
	}
}

// linkerFlags takes directories, libraries and other files out of the flags of a linker.
func (s *scanner) linkerFlags(flags []string) {
	for n := 0; n < len(flags); n++ {
		flag := flags[n]
		if option := flag; (option == "-L" || option == "-l") && n+1 < len(flags) {
			n++
			flag += flags[n]
		}
		if dir, ok := strings.CutPrefix(flag, "-L"); ok {
			s.libraries = append(s.libraries, dir)
		} else if name, ok := strings.CutPrefix(flag, "-l"); ok {
			s.names = append(s.names, name)
		} else {
			// A path by itself, or in -Wl,--version-script=PATH and the like.
			for _, word := range strings.FieldsFunc(flag, func(c rune) bool { return c == ',' || c == '=' || c == '@' }) {
				if strings.ContainsRune(word, '/') || strings.ContainsRune(word, '.') {
					s.candidate(s.absolute(word))
				}
			}
		}
	}
}

func (s *scanner) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(s.dir, path)
}

// candidate reports whether a file exists and has not been seen before.
func (s *scanner) candidate(file string) bool {
	if _, known := s.seen[file]; known {
		return false
	}
	info, err := os.Stat(file)
	s.seen[file] = err == nil && info.Mode().IsRegular()
	return s.seen[file]
}

// findLibraries looks for -lname in the -L directories. Linker scripts and thin archives only name other files, so
// with one of them all files of its directory count.
func (s *scanner) findLibraries() {
	for _, name := range s.names {
		found := false
		for _, dir := range s.libraries {
			dir = s.absolute(dir)
			patterns := []string{"lib" + name + ".*", name + ".lib", name + ".dll"}
			if file, exact := strings.CutPrefix(name, ":"); exact {
				patterns = []string{file}
			}
			for _, pattern := range patterns {
				matches, _ := filepath.Glob(filepath.Join(escape(dir), pattern))
				for _, file := range matches {
					if s.candidate(file) && indirect(file) {
						s.folder(dir)
					}
					found = found || s.seen[file]
				}
			}
		}
		if !found {
			s.missing = append(s.missing, name)
		}
	}
}

// escape makes a path match itself in filepath.Glob.
func escape(path string) string {
	if filepath.Separator != '/' {
		return path
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// indirect reports whether a library is a thin archive or a linker script.
func indirect(file string) bool {
	f, err := inputfile.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 512)
	n, _ := f.Read(start)
	start = start[:n]
	return bytes.HasPrefix(start, []byte("!<thin>")) || !bytes.HasPrefix(start, []byte("!<arch>")) && !bytes.ContainsRune(start, 0)
}

func (s *scanner) folder(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		s.candidate(filepath.Join(dir, e.Name()))
	}
}

var (
	// includeLine matches includes of C, C++, Objective-C, assembly and SWIG, also in a // comment of a Go file.
	includeLine = regexp.MustCompile(`(?m)^[ \t]*(?://)?[ \t]*[#%][ \t]*(?:include_next|include|import|embed)\b[ \t]*(.*)$`)
	binaryLine  = regexp.MustCompile(`\.inc(?:bin|lude)[ \t]+\\?"([^"\\\n]+)`)
	fortranLine = regexp.MustCompile(`(?mi)^[ \t]*include[ \t]+['"]([^'"\n]+)['"]`)
)

// follow looks for the includes of a file, and for theirs.
func (s *scanner) follow(file string) {
	content, err := inputfile.ReadFile(file)
	if err != nil {
		return
	}
	dir := filepath.Dir(file)
	for _, m := range includeLine.FindAllSubmatch(content, -1) {
		argument := string(bytes.TrimSpace(m[1]))
		end := map[byte]string{'"': `"`, '<': ">"}
		if argument == "" || end[argument[0]] == "" {
			s.computed = true
			continue
		}
		if name, _, ok := strings.Cut(argument[1:], end[argument[0]]); ok && name != "" {
			s.include(dir, name)
		}
	}
	for _, line := range []*regexp.Regexp{binaryLine, fortranLine} {
		for _, m := range line.FindAllSubmatch(content, -1) {
			s.include(dir, string(m[1]))
		}
	}
}

// include takes every file that a name may mean in an include of a file in dir.
func (s *scanner) include(dir, name string) {
	if filepath.IsAbs(name) {
		if s.candidate(filepath.Clean(name)) {
			s.follow(name)
		}
		return
	}
	for _, d := range append([]string{dir, s.dir}, s.includes...) {
		if file := filepath.Join(s.absolute(d), filepath.FromSlash(name)); s.candidate(file) {
			s.follow(file)
		}
	}
}

// everyFile takes all files of the include directories in the tree, because a macro names one of them.
func (s *scanner) everyFile(tree string) {
	for _, dir := range append([]string{s.dir}, s.includes...) {
		dir = s.absolute(dir)
		if !within(tree, dir) {
			continue
		}
		_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil
			case d.IsDir() && p != dir && strings.HasPrefix(d.Name(), "."):
				return filepath.SkipDir
			case d.Type().IsRegular():
				s.candidate(p)
			}
			return nil
		})
	}
}

func (s *scanner) result() native {
	n := native{flags: s.flags, libraries: s.missing}
	for _, file := range slices.Sorted(maps.Keys(s.seen)) {
		if s.ignored(file) {
			continue
		}
		n.candidates = append(n.candidates, file)
		if s.seen[file] {
			n.files = append(n.files, file)
		}
	}
	return n
}

// words splits flags as the go command does: at spaces, with quotes around words.
func words(line string) []string {
	var all []string
	var word strings.Builder
	var quote rune
	inside := false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inside = c, true
		case strings.ContainsRune(" \t\r\n", c):
			if inside {
				all = append(all, word.String())
				word.Reset()
			}
			inside = false
		default:
			inside = true
			word.WriteRune(c)
		}
	}
	if inside {
		all = append(all, word.String())
	}
	return all
}
