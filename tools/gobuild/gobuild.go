// Package gobuild cross-compiles Go main packages with the go command. One go command a platform compiles all of them
// together, and a fingerprint of everything that goes into a binary lets a platform where nothing changed do without.
package gobuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gofrs/flock"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/cache"
)

// Request asks for main packages to be compiled for one platform.
type Request struct {
	Row     arch.Row
	Tags    []string
	Env     []string // NAME=value, for the go command
	Cgo     bool
	Targets []Target
}

// Target is one main package. A package may stand in a request several times with different flags.
type Target struct {
	Name    string // what the result is for; used in messages
	Package string // ./directory below the top of the tree, or an import path
	Ldflags []string
}

// Binary is a compiled target.
type Binary struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal
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
// other process replaces the binaries; afterwards they may change at any time. A target whose inputs are what they were
// is not compiled again: its Binary then comes from the record of the last time, and only Check tells whether the
// file is still there.
func (b *Builder) Build(ctx context.Context, r Request, use func([]Binary) error) error {
	folder, err := b.store.Folder("go", b.unit(r))
	if err != nil {
		return err
	}
	lock := flock.New(filepath.Join(folder, "lock"))
	defer lock.Close()
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return fmt.Errorf("waiting for another build of %s: %w", r.Row, err)
	}
	if err := sweep(folder); err != nil {
		return err
	}
	binaries := make([]Binary, len(r.Targets))
	var stale []int
	for i, t := range r.Targets {
		if !b.fresh(r, t, &binaries[i]) {
			stale = append(stale, i)
		}
	}
	if len(stale) > 0 {
		if err := b.compile(ctx, r, folder, stale, binaries); err != nil {
			return err
		}
	}
	return use(binaries)
}

// Check tells whether the file of a binary has the content it should have. A file that is damaged is removed together
// with its record, so that the next Build compiles it again. It belongs within use.
func (b *Builder) Check(r Request, t Target, got Binary) bool {
	if again, err := measure(got.Path); err == nil && again == got {
		return true
	}
	_ = os.Remove(got.Path)
	b.store.Forget(recordKind, b.key(r, t))
	return false
}

const recordKind = "go"

// record is what is remembered of a target: what it was made of, and what came out.
type record struct {
	Inputs []input `json:"inputs"`
	Binary Binary  `json:"binary"`
}

// fresh tells whether a target need not be compiled, and then sets its binary.
func (b *Builder) fresh(r Request, t Target, binary *Binary) bool {
	var last record
	if r.Cgo || !b.tool.tracked(r) || !b.store.Get(recordKind, b.key(r, t), &last) || len(last.Inputs) == 0 {
		return false
	}
	if info, err := os.Stat(last.Binary.Path); err != nil || info.Size() != last.Binary.Size {
		return false
	}
	for _, in := range last.Inputs {
		if b.files.digest(in) != in.Digest {
			return false
		}
	}
	*binary = last.Binary
	return true
}

// unit names the folder where the go command keeps the outputs of a request. It is stable, because the go command
// leaves an output alone that is up to date.
func (b *Builder) unit(r Request) string {
	return digest("unit", b.dir, r.Row.Slug(), r.Tags, r.Env, r.Cgo)[:32]
}

func (b *Builder) key(r Request, t Target) string {
	return digest("target", b.tool.identity, b.dir, r.Row.Go.Environ(), r.Tags, r.Env, r.Cgo, t.Package, t.Ldflags)
}

func digest(values ...any) string {
	all, _ := json.Marshal(values) // plain values marshal
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

func measure(path string) (Binary, error) {
	f, err := os.Open(path)
	if err != nil {
		return Binary{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return Binary{path, n, hex.EncodeToString(h.Sum(nil))}, err
}

// dirty marks a folder in which the go command is at work. If it is still there at the next time, the work was cut
// off, and the go command would take a truncated output for a finished one.
const dirty = "unfinished"

func sweep(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, dirty)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("sweeping up after an interrupted build: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("sweeping up after an interrupted build: %w", err)
			}
		}
	}
	return os.Remove(filepath.Join(folder, dirty))
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
