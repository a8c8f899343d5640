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

// native holds the inputs of C, C++ and assembly code that the go command does not track: headers outside the directory
// of the package, libraries, and the output of pkg-config. The go command's cache ignores them (see `go help cache`).
type native struct {
	candidates []string // files that the compiler may look for; some may not exist
	files      []string // candidates that exist
	libraries  []string // names, as in -lname, that are in no -L directory, so that the C compiler finds them
	flags      string   // output of pkg-config
}

// includingFiles returns the files of a package that may include other files.
func (p pkg) includingFiles(cgo bool) []string {
	files := slices.Clone(p.SFiles)
	if cgo {
		files = slices.Concat(files, p.CgoFiles, p.CFiles, p.CXXFiles, p.MFiles, p.HFiles, p.FFiles, p.SwigFiles,
			p.SwigCXXFiles)
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
	if files := p.includingFiles(l.request.Cgo); len(files) > 0 && !p.Standard {
		n = b.scan(ctx, l.request, p, files)
	}
	l.natives[p.ImportPath] = n
	return n
}

// scan follows the includes and linker flags of a package. It collects every file that an include may refer to, not
// only the first in the search path: an unneeded file may cause a compilation, but a missing one may cause a wrong
// program.
func (b *Builder) scan(ctx context.Context, r Request, p pkg, files []string) native {
	s := scanner{dir: p.Dir, seen: map[string]bool{}, ignored: func(file string) bool {
		return filepath.Dir(file) == filepath.Clean(p.Dir) && hasSourceSuffix(file) ||
			within(b.tool.env["GOMODCACHE"], file) || within(b.tool.env["GOROOT"], file)
	}}
	if r.Cgo {
		s.compilerFlags(slices.Concat(p.CgoCPPFLAGS, p.CgoCFLAGS, p.CgoCXXFLAGS, p.CgoFFLAGS))
		s.linkerFlags(p.CgoLDFLAGS)
		for _, name := range []string{"CGO_CPPFLAGS", "CGO_CFLAGS", "CGO_CXXFLAGS", "CGO_FFLAGS"} {
			s.compilerFlags(splitFlags(b.tool.setting(r, name)))
		}
		s.linkerFlags(splitFlags(b.tool.setting(r, "CGO_LDFLAGS")))
		for _, name := range []string{"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH"} {
			s.includes = append(s.includes, filepath.SplitList(b.tool.setting(r, name))...)
		}
		s.libraries = append(s.libraries, filepath.SplitList(b.tool.setting(r, "LIBRARY_PATH"))...)
		if len(p.CgoPkgConfig) > 0 {
			cflags, libs := b.pkgConfig(ctx, r, p)
			s.flags = strings.ReplaceAll(cflags+libs, b.dir, ".")
			s.compilerFlags(splitFlags(cflags))
			s.linkerFlags(splitFlags(libs))
		}
		s.findLibraries()
	}
	outside := func(dir string) bool { return !within(b.tool.env["GOMODCACHE"], s.absolute(dir)) }
	if outside(p.Dir) || slices.ContainsFunc(s.includes, outside) {
		for _, name := range files {
			s.followIncludes(filepath.Join(p.Dir, name))
		}
	}
	if s.macroInclude {
		s.addIncludeDirs(b.dir)
	}
	return s.result()
}

// pkgConfig runs pkg-config like the go command. Errors are ignored, because the go command reports them.
func (b *Builder) pkgConfig(ctx context.Context, r Request, p pkg) (cflags, libs string) {
	var options, names []string
	for _, word := range p.CgoPkgConfig {
		if strings.HasPrefix(word, "-") {
			options = append(options, word)
		} else {
			names = append(names, word)
		}
	}
	query := func(flag string) string {
		cmd, err := b.tool.command(ctx, p.Dir, r)
		if err != nil {
			return ""
		}
		program := splitFlags(b.tool.setting(r, "PKG_CONFIG"))
		if len(program) == 0 {
			program = []string{"pkg-config"}
		}
		return b.output(ctx, p.Dir, cmd.Env, slices.Concat(program, []string{flag}, options, []string{"--"}, names))
	}
	return query("--cflags"), query("--libs")
}

// systemLibraries returns the libraries of a main package and its dependencies that the C compiler finds in the system.
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
	dir          string          // of the package; the working directory of the compiler
	includes     []string        // include directories (-I)
	libraries    []string        // library directories (-L)
	names        []string        // libraries (-l)
	missing      []string        // libraries that are in no library directory
	flags        string          // output of pkg-config
	macroInclude bool            // whether a file is included by a macro
	seen         map[string]bool // candidates, and whether they exist
	ignored      func(file string) bool
}

// compilerFlags collects the include directories and included files of compiler flags.
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
				s.addInclude(s.dir, value)
			} else {
				s.includes = append(s.includes, value)
			}
			break
		}
	}
}

// linkerFlags collects the directories, libraries and files of linker flags.
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
			// A path, or an option that contains one, such as -Wl,--version-script=PATH.
			for _, word := range strings.FieldsFunc(flag, func(c rune) bool { return c == ',' || c == '=' || c == '@' }) {
				if strings.ContainsRune(word, '/') || strings.ContainsRune(word, '.') {
					s.addCandidate(s.absolute(word))
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

// addCandidate adds a candidate. It reports whether the file exists and is new.
func (s *scanner) addCandidate(file string) bool {
	if _, known := s.seen[file]; known {
		return false
	}
	info, err := os.Stat(file)
	s.seen[file] = err == nil && info.Mode().IsRegular()
	return s.seen[file]
}

// findLibraries looks for the libraries in the library directories. Linker scripts and thin archives refer to other
// files, so it adds all files in their directories.
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
				matches, _ := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
				for _, file := range matches {
					if s.addCandidate(file) && refersToFiles(file) {
						s.addDir(dir)
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

// escapeGlob returns a pattern for filepath.Glob that matches only the path.
func escapeGlob(path string) string {
	if filepath.Separator != '/' {
		return path
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// refersToFiles reports whether a library is a thin archive or a linker script.
func refersToFiles(file string) bool {
	f, err := inputfile.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 512)
	n, _ := f.Read(start)
	start = start[:n]
	thin, archive := bytes.HasPrefix(start, []byte("!<thin>")), bytes.HasPrefix(start, []byte("!<arch>"))
	return thin || !archive && !bytes.ContainsRune(start, 0)
}

func (s *scanner) addDir(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		s.addCandidate(filepath.Join(dir, e.Name()))
	}
}

var (
	// includeLine matches includes of C, C++, Objective-C, assembly and SWIG, including those in // comments of Go files.
	includeLine = regexp.MustCompile(`(?m)^[ \t]*(?://)?[ \t]*[#%][ \t]*` +
		`(?:include_next|include|import|embed)\b[ \t]*(.*)$`)
	binaryLine  = regexp.MustCompile(`\.inc(?:bin|lude)[ \t]+\\?"([^"\\\n]+)`)
	fortranLine = regexp.MustCompile(`(?mi)^[ \t]*include[ \t]+['"]([^'"\n]+)['"]`)
)

// followIncludes adds the files that a file includes, directly or indirectly.
func (s *scanner) followIncludes(file string) {
	content, err := inputfile.ReadFile(file)
	if err != nil {
		return
	}
	dir := filepath.Dir(file)
	for _, m := range includeLine.FindAllSubmatch(content, -1) {
		argument := string(bytes.TrimSpace(m[1]))
		closing := map[byte]string{'"': `"`, '<': ">"}
		if argument == "" || closing[argument[0]] == "" {
			s.macroInclude = true
			continue
		}
		if name, _, ok := strings.Cut(argument[1:], closing[argument[0]]); ok && name != "" {
			s.addInclude(dir, name)
		}
	}
	for _, line := range []*regexp.Regexp{binaryLine, fortranLine} {
		for _, m := range line.FindAllSubmatch(content, -1) {
			s.addInclude(dir, string(m[1]))
		}
	}
}

// addInclude adds every file that an include in dir may refer to, and the files that these include.
func (s *scanner) addInclude(dir, name string) {
	if filepath.IsAbs(name) {
		if s.addCandidate(filepath.Clean(name)) {
			s.followIncludes(name)
		}
		return
	}
	for _, d := range append([]string{dir, s.dir}, s.includes...) {
		if file := filepath.Join(s.absolute(d), filepath.FromSlash(name)); s.addCandidate(file) {
			s.followIncludes(file)
		}
	}
}

// addIncludeDirs adds all files of the include directories in the tree, because an include by a macro may refer to
// any of them.
func (s *scanner) addIncludeDirs(tree string) {
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
				s.addCandidate(p)
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

// splitFlags splits flags at spaces like the go command, which accepts quotes around flags.
func splitFlags(line string) []string {
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
