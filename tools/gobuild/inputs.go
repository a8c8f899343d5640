package gobuild

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// input is something on disk that a binary is made of, with the digest of what it held. Contents are compared, not
// times: an edit within the clock's resolution, a checkout or an archive that sets times cannot deceive it.
type input struct {
	Kind   inputKind `json:"kind"`
	Path   string    `json:"path"`
	Digest string    `json:"digest"`
}

type inputKind string

const (
	// sources: the files of one directory that the go command may compile: their names and contents.
	sources inputKind = "sources"
	// tree: all files below a path, which may also be a file itself: what is embedded.
	tree inputKind = "tree"
	// file: one file, or that it is not there.
	file inputKind = "file"
)

// sourceSuffixes are the files the go command looks at in a package's directory: `go help packages`, `go doc
// go/build.Package`. default.pgo is the profile that it takes unasked.
var sourceSuffixes = []string{".go", ".s", ".S", ".sx", ".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".m", ".f", ".F", ".for", ".f90", ".swig", ".swigcxx", ".syso", "default.pgo"}

const absent = "absent"

// files computes digests of inputs, each once.
type files struct {
	mu    sync.Mutex
	asked map[string]func() string
	read  map[string]bool // those whose reading has ended
}

func newFiles() *files { return &files{asked: map[string]func() string{}, read: map[string]bool{}} }

// digest returns the digest of what an input holds now, or held when it was first asked for.
func (f *files) digest(in input) string {
	f.mu.Lock()
	key := string(in.Kind) + in.Path
	once, ok := f.asked[key]
	if !ok {
		once = sync.OnceValue(in.read)
		f.asked[key] = once
	}
	f.mu.Unlock()
	value := once()
	f.mu.Lock()
	f.read[key] = true
	f.mu.Unlock()
	return value
}

// known returns a test for the inputs that have been read by now.
func (f *files) known() func(input) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	read := maps.Clone(f.read)
	return func(in input) bool { return read[string(in.Kind)+in.Path] }
}

func (in input) read() string {
	switch in.Kind {
	case sources:
		return readSources(in.Path)
	case tree:
		return readTree(in.Path)
	}
	return readFile(in.Path)
}

func readFile(name string) string {
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent
	case err != nil:
		return "unreadable: " + err.Error()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "unreadable: " + err.Error()
	}
	return hex.EncodeToString(h.Sum(nil))
}

func readSources(dir string) string {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent
	case err != nil:
		return "unreadable: " + err.Error()
	}
	h := sha256.New()
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasSuffix(name, "_test.go") || !slices.ContainsFunc(sourceSuffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
			continue
		}
		fmt.Fprintf(h, "%q %s\n", name, readFile(filepath.Join(dir, name)))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func readTree(root string) string {
	h := sha256.New()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			fmt.Fprintf(h, "%q dir\n", p)
			return nil
		}
		fmt.Fprintf(h, "%q %s\n", p, readFile(p))
		return nil
	})
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return hex.EncodeToString(h.Sum(nil))
}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath    string
	Name          string
	Dir           string
	Standard      bool
	Imports       []string
	EmbedPatterns []string
	Module        *struct {
		Path string
		Dir  string
	}
}

// listFields are the fields of pkg, so that the go command computes no others.
const listFields = "-json=ImportPath,Name,Dir,Standard,Imports,EmbedPatterns,Module"

// inputsOf lists what a main package is made of, apart from the toolchain, the standard library and the module cache:
// those are named by the toolchain's identity and by go.sum, and do not change under their names.
func (l listing) inputsOf(main pkg, moduleCache string) []input {
	set := map[input]bool{}
	modules := map[string]string{} // module path -> directory, of modules that are edited in place
	local := []pkg{}
	foreign := []pkg{}
	for _, path := range l.closure(main) {
		p, ok := l.packages[path]
		switch {
		case !ok || p.Standard || p.Dir == "":
		case within(moduleCache, p.Dir):
			foreign = append(foreign, p)
		default:
			local = append(local, p)
			if p.Module != nil && p.Module.Dir != "" {
				modules[p.Module.Path] = p.Module.Dir
			}
		}
	}
	for _, p := range local {
		set[input{Kind: sources, Path: p.Dir}] = true
		for _, pattern := range p.EmbedPatterns {
			set[input{Kind: tree, Path: filepath.Join(p.Dir, literal(pattern))}] = true
		}
		// A go.mod that appears above a package moves it to another module; a go.work or vendor folder changes
		// where its imports come from.
		for dir := p.Dir; ; dir = filepath.Dir(dir) {
			for _, name := range []string{"go.mod", "go.sum", "go.work", "go.work.sum", filepath.Join("vendor", "modules.txt")} {
				set[input{Kind: file, Path: filepath.Join(dir, name)}] = true
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	// A directory of a local module that appears under the import path of a package from elsewhere makes the import
	// ambiguous.
	for _, p := range foreign {
		for module, dir := range modules {
			if rest, ok := strings.CutPrefix(p.ImportPath, module+"/"); ok {
				set[input{Kind: sources, Path: filepath.Join(dir, filepath.FromSlash(rest))}] = true
			}
		}
	}
	inputs := make([]input, 0, len(set))
	for in := range set {
		inputs = append(inputs, in)
	}
	slices.SortFunc(inputs, func(a, b input) int { return strings.Compare(string(a.Kind)+a.Path, string(b.Kind)+b.Path) })
	return inputs
}

// literal returns the leading directories of an embed pattern that hold no wildcard: everything the pattern could ever
// match is below.
func literal(pattern string) string {
	pattern = strings.TrimPrefix(pattern, "all:")
	for strings.ContainsAny(pattern, `*?[\`) {
		pattern = path.Dir(pattern)
	}
	return filepath.FromSlash(pattern)
}

func within(dir, p string) bool {
	rest, err := filepath.Rel(dir, p)
	return dir != "" && err == nil && rest != ".." && !strings.HasPrefix(rest, ".."+string(filepath.Separator))
}
