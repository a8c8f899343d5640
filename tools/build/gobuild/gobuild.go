// Package gobuild cross-compiles Go main packages with the go command. It runs one go command per platform, which
// compiles all main packages together. It records a digest of every input of a program, so that unchanged programs are
// reused without running the go command.
package gobuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// Request describes main packages to compile for one platform.
type Request struct {
	Row     arch.Row
	Tags    []string
	Env     []string // NAME=value, for the go command
	Cgo     bool
	Targets []Target
	// Report, if not nil, is called while the go command compiles targets. Calls do not overlap. It is not called for
	// targets that are up to date.
	Report func(Status)
}

// Status describes the progress of the go command.
type Status struct {
	Targets  []string // names of the targets being compiled
	Packages int      // number of packages compiled so far
	Newest   string   // the last compiled package, or the module being downloaded
	Done     bool     // whether this is the last call
}

// Target is one main package. A request may contain a package several times with different flags.
type Target struct {
	Name    string // of the image; used in messages
	Package string // ./directory relative to the top of the tree, or an import path
	Ldflags []string
}

// Binary is a compiled target.
type Binary struct {
	Path   string
	Size   int64
	SHA256 string // in hexadecimal
}

// Builder compiles packages of one tree.
type Builder struct {
	dir   string
	store *cache.Store
	tool  toolchain
	slots chan struct{} // limits the go commands that run in parallel
	jobs  int           // the -p flag of each go command
	files *files
}

// New returns a builder for the tree at dir, which keeps its outputs and records in store. All calls of Build together
// run about jobs compilers in parallel.
func New(ctx context.Context, dir string, store *cache.Store, jobs int) (*Builder, error) {
	tool, err := findToolchain(ctx, dir)
	if err != nil {
		return nil, err
	}
	// Each go command runs several compilers, but one linker per program. A few go commands in parallel keep all CPUs
	// busy while programs are linked; more of them would only need more memory.
	commands := min(max(1, jobs), 4)
	return &Builder{dir, store, tool, make(chan struct{}, commands), max(2, jobs/commands), newFiles()}, nil
}

// Build compiles the targets and calls use with their binaries, in the order of the targets. No other build replaces
// the binaries until use returns; afterwards they may change at any time. A target whose inputs have not changed is
// not compiled again, and its Binary is taken from a record. Callers must compare the file that they read with the
// Binary, and call Check if it differs or is missing.
func (b *Builder) Build(ctx context.Context, r Request, use func([]Binary) error) error {
	dir, err := b.store.Folder(cache.ProgramsFolder, b.requestDir(r))
	if err != nil {
		return err
	}
	unlock, err := b.store.Lock(ctx, filepath.Join(dir, lockFile), "another build of "+r.Row.String())
	if err != nil {
		return err
	}
	defer unlock()
	if err := removeLeftovers(dir); err != nil {
		return err
	}
	binaries := make([]Binary, len(r.Targets))
	var stale []int
	for i, t := range r.Targets {
		if !b.upToDate(r, dir, t, &binaries[i]) {
			stale = append(stale, i)
		}
	}
	if len(stale) > 0 {
		if err := b.compile(ctx, r, stale, binaries); err != nil {
			return err
		}
	}
	return use(binaries)
}

// Check reports whether the file of a binary matches its size and digest. A damaged file is removed together with its
// record, so that the next Build compiles it again. Check must be called before use returns.
func (b *Builder) Check(r Request, t Target, got Binary) bool {
	if actual, err := readBinary(got.Path); err == nil && actual == got {
		return true
	}
	_ = os.RemoveAll(got.Path)
	b.store.Forget(recordKind, b.key(r, t))
	return false
}

const recordKind = "go"

// lockFile is the lock file in the directory of a request.
const lockFile = "lock"

// record holds the inputs of a compiled target and the resulting program.
type record struct {
	Inputs     []input   `json:"inputs"` // empty if they are not all known
	Name       string    `json:"name"`   // file name of the program
	RequestDir string    `json:"unit"`
	Slot       string    `json:"slot"` // the subdirectory of RequestDir that contains the program
	Size       int64     `json:"size"`
	SHA256     string    `json:"sha256"`
	Untracked  untracked `json:"foreign"`
}

// upToDate reports whether a target need not be compiled, and if so sets its binary.
func (b *Builder) upToDate(r Request, dir string, t Target, binary *Binary) bool {
	var last record
	if !b.inputsKnown(r) || !b.store.Get(recordKind, b.key(r, t), &last) || len(last.Inputs) == 0 {
		return false
	}
	path := filepath.Join(dir, last.Slot, last.Name)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || info.Size() != last.Size {
		return false
	}
	for _, in := range last.Inputs {
		if b.files.digest(in) != in.Digest {
			return false
		}
	}
	*binary = Binary{path, last.Size, last.SHA256}
	return true
}

// requestDir returns the name of the directory of a request in the cache.
func (b *Builder) requestDir(r Request) string {
	return digest("unit", b.dir, r.Row.Slug(), r.Tags, r.Env, r.Cgo)[:32]
}

func (b *Builder) key(r Request, t Target) string {
	return digest("target", b.tool.identity, b.dir, r.Row.Go.Environ(), r.Tags, r.Env, r.Cgo, t.Package, t.Ldflags)
}

// digest returns a digest of plain values. It encodes them in Go syntax, which unlike JSON can represent strings of
// arbitrary bytes.
func digest(values ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", values))
	return hex.EncodeToString(sum[:])
}

var majorVersion = regexp.MustCompile(`^v([2-9]|[1-9][0-9]+)$`)

// executableName returns the name that the go command gives to the output of a main package (see `go help build`, -o).
func executableName(importPath string, row arch.Row) string {
	parts := strings.Split(importPath, "/")
	name := parts[len(parts)-1]
	if majorVersion.MatchString(name) && len(parts) > 1 {
		name = parts[len(parts)-2]
	}
	if row.OS == "windows" {
		name += ".exe"
	}
	return name
}
