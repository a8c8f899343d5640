// Package gobuild cross-compiles Go main packages with the go command. One go command a platform compiles all of them
// together, and a fingerprint of everything that goes into a binary lets a platform where nothing changed do without.
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

// Request asks for main packages to be compiled for one platform.
type Request struct {
	Row     arch.Row
	Tags    []string
	Env     []string // NAME=value, for the go command
	Cgo     bool
	Targets []Target
	// Report, if it is set, is called while the go command compiles targets, one call at a time. It is not called for
	// targets that need no compiling.
	Report func(Status)
}

// Status tells how far the go command is.
type Status struct {
	Targets  []string // the names of the targets that are compiled
	Packages int      // how many packages were compiled so far
	Newest   string   // the last of them, or the module that is being downloaded
	Done     bool     // whether this is the last call
}

// Target is one main package. A package may stand in a request several times with different flags.
type Target struct {
	Name    string // what the result is for; used in messages
	Package string // ./directory below the top of the tree, or an import path
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
	slots chan struct{} // as many as go commands may run at a time
	jobs  int           // compilers of each: its -p
	files *files
}

// New returns a builder for the tree at dir, which keeps its outputs and fingerprints in store. It runs about jobs
// compilers at a time, for all calls of Build together.
func New(ctx context.Context, dir string, store *cache.Store, jobs int) (*Builder, error) {
	tool, err := findToolchain(ctx, dir)
	if err != nil {
		return nil, err
	}
	// Each go command keeps several compilers busy, but only one linker a program, so a few side by side fill what one
	// leaves idle; many would only need more memory.
	commands := min(max(1, jobs), 4)
	return &Builder{dir, store, tool, make(chan struct{}, commands), max(2, jobs/commands), newFiles()}, nil
}

// Build compiles the targets and calls use with their binaries, in the order of the targets. Until use returns, no
// other build replaces the binaries; afterwards they may change at any time. A target whose inputs have not changed is
// not compiled again. Its Binary then comes from the record of the last time: whoever reads the file must compare it with
// the record, and call Check if it differs or is missing.
func (b *Builder) Build(ctx context.Context, r Request, use func([]Binary) error) error {
	folder, err := b.store.Folder(cache.ProgramsFolder, b.unit(r))
	if err != nil {
		return err
	}
	unlock, err := b.store.Lock(ctx, filepath.Join(folder, lockFile), "another build of "+r.Row.String())
	if err != nil {
		return err
	}
	defer unlock()
	if err := sweep(folder); err != nil {
		return err
	}
	binaries := make([]Binary, len(r.Targets))
	var stale []int
	for i, t := range r.Targets {
		if !b.fresh(r, folder, t, &binaries[i]) {
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

// Check reports whether the file of a binary has the content it should have. A damaged file is removed together with its
// record, so that the next Build compiles it again. Check must be called within use.
func (b *Builder) Check(r Request, t Target, got Binary) bool {
	if again, err := measure(got.Path); err == nil && again == got {
		return true
	}
	_ = os.RemoveAll(got.Path)
	b.store.Forget(recordKind, b.key(r, t))
	return false
}

const recordKind = "go"

// lockFile is the lock of the folder of a request.
const lockFile = "lock"

// record is what is remembered about a target: what it was made of, and what came out.
type record struct {
	Inputs  []input `json:"inputs"` // none if they cannot be known
	Name    string  `json:"name"`   // of the executable
	Unit    string  `json:"unit"`   // the folder of the request
	Slot    string  `json:"slot"`   // the subfolder in it that has the executable
	Size    int64   `json:"size"`
	SHA256  string  `json:"sha256"`
	Foreign foreign `json:"foreign"`
}

// fresh reports whether a target need not be compiled, and then sets its binary.
func (b *Builder) fresh(r Request, folder string, t Target, binary *Binary) bool {
	var last record
	if !b.reusable(r) || !b.store.Get(recordKind, b.key(r, t), &last) || len(last.Inputs) == 0 {
		return false
	}
	path := filepath.Join(folder, last.Slot, last.Name)
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

// unit names the folder of a request.
func (b *Builder) unit(r Request) string {
	return digest("unit", b.dir, r.Row.Slug(), r.Tags, r.Env, r.Cgo)[:32]
}

func (b *Builder) key(r Request, t Target) string {
	return digest("target", b.tool.identity, b.dir, r.Row.Go.Environ(), r.Tags, r.Env, r.Cgo, t.Package, t.Ldflags)
}

// digest identifies plain values. Go syntax, unlike JSON, has room for strings of any bytes.
func digest(values ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", values))
	return hex.EncodeToString(sum[:])
}

var majorVersion = regexp.MustCompile(`^v([2-9]|[1-9][0-9]+)$`)

// executable is the name that the go command gives to the output of a main package: `go help build`, under -o.
func executable(importPath string, row arch.Row) string {
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
