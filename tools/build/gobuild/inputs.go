package gobuild

import (
	"context"
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
	"strconv"
	"strings"
	"sync"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
)

// input is a file or directory that a program is built from, with the digest of its content. Modification times are not
// compared, because they miss edits within the resolution of the clock, and checkouts and archives that set times.
type input struct {
	Kind   inputKind `json:"kind"`
	Path   rawPath   `json:"path"`
	Digest string    `json:"digest"`
}

// rawPath is a path of arbitrary bytes. It is quoted in JSON, because JSON strings can only represent Unicode.
type rawPath string

// MarshalText quotes the path.
func (p rawPath) MarshalText() ([]byte, error) { return []byte(strconv.Quote(string(p))), nil }

// UnmarshalText reads a quoted path.
func (p *rawPath) UnmarshalText(text []byte) error {
	path, err := strconv.Unquote(string(text))
	*p = rawPath(path)
	return err
}

type inputKind string

const (
	// sources are the names and contents of the files of a directory that the go command may compile.
	sources inputKind = "sources"
	// tree is a file, or all files below a directory. It is used for embedded files.
	tree inputKind = "tree"
	// file is a file, which may be missing.
	file inputKind = "file"
)

// sourceSuffixes are the suffixes of the files that the go command reads in the directory of a package (see `go doc
// go/build.Package`). It uses the profile default.pgo by default.
var sourceSuffixes = []string{
	".go", ".s", ".S", ".sx", ".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".m", ".f", ".F", ".for", ".f90",
	".swig", ".swigcxx", ".syso", "default.pgo",
}

// hasSourceSuffix reports whether the go command reads a file in the directory of a package.
func hasSourceSuffix(name string) bool {
	return slices.ContainsFunc(sourceSuffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

const absent = "absent"

// files computes digests of inputs. It reads each input once.
type files struct {
	mu      sync.Mutex
	digests map[string]func() string // by input key
	read    map[string]bool          // inputs that have been read
}

func newFiles() *files { return &files{digests: map[string]func() string{}, read: map[string]bool{}} }

// key identifies an input without its digest.
func (in input) key() string { return string(in.Kind) + string(in.Path) }

// digest returns the digest that an input had when it was first read.
func (f *files) digest(in input) string {
	f.mu.Lock()
	once, ok := f.digests[in.key()]
	if !ok {
		once = sync.OnceValue(in.read)
		f.digests[in.key()] = once
	}
	f.mu.Unlock()
	value := once()
	f.mu.Lock()
	f.read[in.key()] = true
	f.mu.Unlock()
	return value
}

// readSoFar returns a function that reports whether an input had been read when readSoFar was called.
func (f *files) readSoFar() func(input) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	read := maps.Clone(f.read)
	return func(in input) bool { return read[in.key()] }
}

// editedByGo reports whether the go command may edit a file. It adds checksums, which do not affect the program.
func (in input) editedByGo() bool {
	return in.Kind == file && strings.HasSuffix(string(in.Path), ".sum")
}

func (in input) read() string {
	switch in.Kind {
	case sources:
		return readSources(string(in.Path))
	case tree:
		return readTree(string(in.Path))
	}
	return readFile(string(in.Path))
}

func readFile(name string) string {
	f, err := inputfile.Open(name)
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
		if e.IsDir() || strings.HasSuffix(name, "_test.go") || !hasSourceSuffix(name) {
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

// inputsOf returns the inputs of a main package. The toolchain, the standard library and the module cache are not
// included, because the identity of the toolchain and go.sum determine their content. It returns nil if the inputs
// cannot be known.
func (b *Builder) inputsOf(ctx context.Context, l listing, main pkg) []input {
	set := map[input]bool{}
	add := func(kind inputKind, path string) { set[input{Kind: kind, Path: rawPath(path)}] = true }
	var downloaded []pkg // in the module cache
	modules := maps.Clone(l.graph.modules)
	dirs := []string{b.dir}
	for _, path := range l.closure(main) {
		p, ok := l.packages[path]
		switch {
		case !ok || p.Standard || p.Dir == "":
		case within(b.tool.env["GOMODCACHE"], p.Dir):
			downloaded = append(downloaded, p)
		default:
			if p.Module != nil && p.Module.Dir != "" {
				modules[p.Module.Path] = p.Module.Dir
			}
			if _, err := os.Stat(p.Dir); err != nil {
				return nil // the path is not valid Unicode, which the JSON output of the go command cannot represent
			}
			dirs = append(dirs, p.Dir)
			add(sources, p.Dir)
			for _, pattern := range p.EmbedPatterns {
				add(tree, filepath.Join(p.Dir, embedRoot(pattern)))
			}
			for _, candidate := range l.native(ctx, b, p).candidates {
				add(file, candidate)
			}
		}
	}
	for _, name := range l.graph.files {
		add(file, name)
	}
	// A new go.mod in a parent directory moves a package to another module. A new go.work or vendor directory changes how
	// imports are resolved.
	names := []string{"go.mod", "go.sum", "go.work", "go.work.sum", filepath.Join("vendor", "modules.txt")}
	for _, dir := range dirs {
		for ; ; dir = filepath.Dir(dir) {
			for _, name := range names {
				add(file, filepath.Join(dir, name))
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	// A new directory in a local module makes an import ambiguous if its import path is that of a downloaded package.
	for _, p := range downloaded {
		for module, dir := range modules {
			if rest, ok := strings.CutPrefix(p.ImportPath, module+"/"); ok {
				add(sources, filepath.Join(dir, filepath.FromSlash(rest)))
			}
		}
	}
	inputs := slices.Collect(maps.Keys(set))
	slices.SortFunc(inputs, func(a, b input) int {
		return strings.Compare(string(a.Kind)+string(a.Path), string(b.Kind)+string(b.Path))
	})
	return inputs
}

// embedRoot returns the directory of an embed pattern that contains all possible matches, which is the part before the
// first wildcard.
func embedRoot(pattern string) string {
	pattern = strings.TrimPrefix(pattern, "all:")
	for strings.ContainsAny(pattern, `*?[\`) {
		pattern = path.Dir(pattern)
	}
	return filepath.FromSlash(pattern)
}

// within reports whether a path is in a directory.
func within(dir, p string) bool {
	rest, err := filepath.Rel(dir, p)
	return dir != "" && err == nil && rest != ".." && !strings.HasPrefix(rest, ".."+string(filepath.Separator))
}
