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

// input is something on disk that a binary is made of, with the digest of its content. Times are not compared: an edit
// within the clock's resolution, a checkout or an archive that sets times would go unnoticed.
type input struct {
	Kind   inputKind `json:"kind"`
	Path   rawPath   `json:"path"`
	Digest string    `json:"digest"`
}

// rawPath is a path of any bytes. JSON strings hold only Unicode, so it is quoted.
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
	key := string(in.Kind) + string(in.Path)
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
	return func(in input) bool { return read[string(in.Kind)+string(in.Path)] }
}

// written reports whether the go command adds to a file by itself. Checksums decide whether something can be compiled,
// and not what comes out.
func (in input) written() bool { return in.Kind == file && strings.HasSuffix(string(in.Path), ".sum") }

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

// inputsOf lists what a main package is made of, apart from the toolchain, the standard library and the module cache:
// those are named by the toolchain's identity and by go.sum, and do not change under their names. It returns nil if
// that cannot be known.
func (b *Builder) inputsOf(ctx context.Context, l listing, main pkg) []input {
	set := map[input]bool{}
	add := func(kind inputKind, path string) { set[input{Kind: kind, Path: rawPath(path)}] = true }
	foreign := []pkg{}
	modules := maps.Clone(l.graph.modules)
	above := []string{b.dir}
	for _, path := range l.closure(main) {
		p, ok := l.packages[path]
		switch {
		case !ok || p.Standard || p.Dir == "":
		case within(b.tool.env["GOMODCACHE"], p.Dir):
			foreign = append(foreign, p)
		default:
			if p.Module != nil && p.Module.Dir != "" {
				modules[p.Module.Path] = p.Module.Dir
			}
			if _, err := os.Stat(p.Dir); err != nil {
				return nil // the go command reports paths as JSON, which has no room for all that a path may be
			}
			above = append(above, p.Dir)
			add(sources, p.Dir)
			for _, pattern := range p.EmbedPatterns {
				add(tree, filepath.Join(p.Dir, literal(pattern)))
			}
			for _, candidate := range l.native(ctx, b, p).candidates {
				add(file, candidate)
			}
		}
	}
	for _, name := range l.graph.files {
		add(file, name)
	}
	// A go.mod that appears above a package moves it to another module; a go.work or vendor folder changes
	// where its imports come from.
	for _, dir := range above {
		for ; ; dir = filepath.Dir(dir) {
			for _, name := range []string{"go.mod", "go.sum", "go.work", "go.work.sum", filepath.Join("vendor", "modules.txt")} {
				add(file, filepath.Join(dir, name))
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
