package gobuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// CompileError is returned where the go command refuses a target.
type CompileError struct {
	Targets  []string // the names of the targets that need what does not compile
	Platform arch.Platform
	Output   string // what the go command said
}

func (e *CompileError) Error() string {
	return fmt.Sprintf("compiling %s for %s:\n%s", strings.Join(e.Targets, ", "), e.Platform, e.Output)
}

// ChangedError is returned where a source changed while it was compiled: the binaries of one index would not all be
// made of the same sources.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return e.Path + " changed while it was compiled" }

// Hint says what to do.
func (e *ChangedError) Hint() string { return "run the command again" }

// compile runs the go command for the targets that are stale, fills in their binaries, and records what they were made
// of.
func (b *Builder) compile(ctx context.Context, r Request, folder string, stale []int, binaries []Binary) error {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	release := sync.OnceFunc(func() { <-b.slots })
	defer release()
	// What the sources hold is read before the go command reads them, so that an edit in between is noticed. The last
	// record says what to read; the list of what it is now can then be made while the compiler is at work.
	names, known := b.lastTime(r, stale)
	var l listing
	listed := make(chan error, 1)
	if known {
		go func() {
			var err error
			l, err = b.list(ctx, r, stale)
			listed <- err
		}()
	} else {
		var err error
		if l, err = b.list(ctx, r, stale); err != nil {
			release()
			return b.blame(ctx, r, folder, stale, binaries, err)
		}
		for _, i := range stale {
			names[i] = executable(l.main(r.Targets[i]).ImportPath, r.Row)
			for _, in := range l.inputs[r.Targets[i].Package] {
				b.files.digest(in)
			}
		}
		listed <- nil
	}
	beforehand := b.files.known()
	compiler, renew, err := b.compilerChanged(ctx, r, stale)
	if err != nil {
		<-listed
		return err
	}
	paths, stderr, buildErr := b.goBuild(ctx, r, folder, stale, names, renew)
	err = <-listed
	release()
	if err != nil {
		return b.blame(ctx, r, folder, stale, binaries, err)
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(buildErr, &exit):
		return l.attribute(r, stale, stderr)
	case buildErr != nil:
		return buildErr
	}
	if r.Cgo {
		for _, i := range stale {
			if err := b.store.Put(compilerKind, b.compilerKey(r, r.Targets[i]), compiler); err != nil {
				return err
			}
		}
	}
	return b.remember(r, stale, paths, l, beforehand, binaries)
}

// lastTime reads the inputs that the stale targets had when they were last compiled, and returns the names of their
// executables. known is false where one of them has never been compiled.
func (b *Builder) lastTime(r Request, stale []int) (names map[int]string, known bool) {
	names = map[int]string{}
	for _, i := range stale {
		var last record
		if !b.store.Get(recordKind, b.key(r, r.Targets[i]), &last) || len(last.Inputs) == 0 {
			return names, false
		}
		names[i] = filepath.Base(last.Binary.Path)
		for _, in := range last.Inputs {
			b.files.digest(in)
		}
	}
	return names, true
}

// goBuild compiles the stale targets into folder and returns where each is. One go command does it, unless two
// executables have the same name or one package is wanted with different flags: those go to slots of their own. If renew
// is set it takes nothing from the go command's own cache.
func (b *Builder) goBuild(ctx context.Context, r Request, folder string, stale []int, names map[int]string, renew bool) (paths map[int]string, stderr string, err error) {
	if err := os.WriteFile(filepath.Join(folder, dirty), nil, 0o644); err != nil {
		return nil, "", fmt.Errorf("preparing to compile: %w", err)
	}
	slots := [][]int{}
	taken := map[string]int{}
	paths = map[int]string{}
	for _, i := range stale {
		n := taken[names[i]]
		taken[names[i]]++
		if n == len(slots) {
			slots = append(slots, nil)
		}
		slots[n] = append(slots[n], i)
		paths[i] = filepath.Join(folder, fmt.Sprint(n), names[i])
	}
	for n, slot := range slots {
		out := filepath.Join(folder, fmt.Sprint(n)) + string(filepath.Separator)
		if err := os.MkdirAll(out, 0o755); err != nil {
			return nil, "", fmt.Errorf("preparing to compile: %w", err)
		}
		args := []string{"build", "-trimpath", "-buildvcs=false", "-p=" + strconv.Itoa(b.jobs), "-o", out}
		if len(r.Tags) > 0 {
			args = append(args, "-tags="+strings.Join(r.Tags, ","))
		}
		if renew {
			args = append(args, "-a")
		}
		for _, i := range slot {
			if flags := r.Targets[i].Ldflags; len(flags) > 0 {
				args = append(args, "-ldflags="+r.Targets[i].Package+"="+strings.Join(flags, " "))
			}
		}
		args = append(args, "--")
		for _, i := range slot {
			args = append(args, r.Targets[i].Package)
		}
		cmd, missing := b.tool.command(ctx, b.dir, r, args...)
		if missing != nil {
			return nil, "", missing
		}
		_, said, failed := run(cmd)
		var exit *exec.ExitError
		if failed != nil && !errors.As(failed, &exit) {
			return nil, "", failed
		}
		// One slot's errors do not hide another's.
		stderr, err = stderr+said, errors.Join(err, failed)
	}
	if err != nil {
		return nil, stderr, err
	}
	return paths, "", os.Remove(filepath.Join(folder, dirty))
}

// remember measures the binaries and records what they were made of. beforehand tells which inputs had been read when
// the go command began: only of those is it known that they are what it read.
func (b *Builder) remember(r Request, stale []int, paths map[int]string, l listing, beforehand func(input) bool, binaries []Binary) error {
	after := newFiles()
	for _, i := range stale {
		t := r.Targets[i]
		binary, err := measure(paths[i])
		if err != nil {
			return fmt.Errorf("reading what was compiled from %s: %w", t.Package, err)
		}
		binaries[i] = binary
		inputs, complete := slices.Clone(l.inputs[t.Package]), true
		for n, in := range inputs {
			if !beforehand(in) {
				complete = false // a package imported for the first time: next time it will be known beforehand
				continue
			}
			if inputs[n].Digest = b.files.digest(in); after.digest(in) != inputs[n].Digest {
				b.store.Forget(recordKind, b.key(r, t))
				return &ChangedError{in.Path}
			}
		}
		if !complete || r.Cgo {
			b.store.Forget(recordKind, b.key(r, t))
		} else if err := b.store.Put(recordKind, b.key(r, t), record{inputs, binary}); err != nil {
			return err
		}
	}
	return nil
}

// listing is what the go command says about the stale targets.
type listing struct {
	packages map[string]pkg     // by import path
	mains    map[string]string  // a target's package -> its import path
	inputs   map[string][]input // a target's package -> what it is made of
}

func (l listing) main(t Target) pkg { return l.packages[l.mains[t.Package]] }

// list asks the go command what the stale targets are made of.
func (b *Builder) list(ctx context.Context, r Request, stale []int) (listing, error) {
	wanted := map[string]bool{}
	for _, i := range stale {
		wanted[r.Targets[i].Package] = true
	}
	l := listing{map[string]pkg{}, map[string]string{}, map[string][]input{}}
	args := []string{"list", "-deps", listFields}
	if len(r.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(r.Tags, ","))
	}
	args = append(append(args, "--"), slices.Sorted(maps.Keys(wanted))...)
	cmd, err := b.tool.command(ctx, b.dir, r, args...)
	if err != nil {
		return l, err
	}
	out, stderr, err := run(cmd)
	if err != nil {
		return l, &listError{stderr, err}
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return l, fmt.Errorf("reading what the go command lists: %w", err)
		}
		l.packages[p.ImportPath] = p
	}
	for target := range wanted {
		path := target
		if strings.HasPrefix(target, ".") {
			for _, p := range l.packages {
				if p.Name == "main" && same(p.Dir, filepath.Join(b.dir, target)) {
					path = p.ImportPath
				}
			}
		}
		p := l.packages[path]
		if p.Name != "main" {
			return l, &listError{fmt.Sprintf("%s is not a main package%s\n", target, l.other(filepath.Join(b.dir, target), p.Name)), nil}
		}
		l.mains[target] = path
		l.inputs[target] = l.inputsOf(p, b.tool.env["GOMODCACHE"])
	}
	return l, nil
}

// other says what a package is that is not a main package: the one called name, or else the one in dir.
func (l listing) other(dir, name string) string {
	for _, p := range l.packages {
		if name == "" && p.Dir != "" && same(p.Dir, dir) {
			name = p.Name
		}
	}
	if name == "" {
		return ""
	}
	return ": it is package " + name
}

// closure returns the import paths of a package and of all that it imports.
func (l listing) closure(p pkg) []string {
	seen, todo := map[string]bool{p.ImportPath: true}, []string{p.ImportPath}
	for n := 0; n < len(todo); n++ {
		for _, path := range l.packages[todo[n]].Imports {
			if !seen[path] {
				seen[path] = true
				todo = append(todo, path)
			}
		}
	}
	return todo
}

// same tells whether two paths lead to one directory.
func same(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

type listError struct {
	output string
	err    error
}

func (e *listError) Error() string { return e.output }

// blame turns a failure to list all targets into errors about those that cannot be listed by themselves. The others are
// compiled after all, so that what is wrong with them is said in the same run.
func (b *Builder) blame(ctx context.Context, r Request, folder string, stale []int, binaries []Binary, err error) error {
	var failed *listError
	if !errors.As(err, &failed) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	var all []error
	var others []int
	for _, i := range stale {
		var alone *listError
		if _, err := b.list(ctx, r, []int{i}); errors.As(err, &alone) {
			all = append(all, &CompileError{[]string{r.Targets[i].Name}, r.Row.Platform, alone.output})
		} else {
			others = append(others, i)
		}
	}
	if len(all) == 0 {
		return &CompileError{targetNames(r, stale), r.Row.Platform, failed.output}
	}
	if len(others) > 0 {
		all = append(all, b.compile(ctx, r, folder, others, binaries))
	}
	return errors.Join(all...)
}

// attribute splits what the go command said by package ("# import/path" stands above each), and names the targets that
// need it.
func (l listing) attribute(r Request, stale []int, stderr string) error {
	var all []error
	for _, section := range strings.Split("\n"+stderr, "\n# ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		path, _, _ := strings.Cut(title, " ")
		var needing []int
		for _, i := range stale {
			if main := l.main(r.Targets[i]); slices.Contains(l.closure(main), path) {
				needing = append(needing, i)
			}
		}
		if len(needing) == 0 {
			needing = stale
		}
		all = append(all, &CompileError{targetNames(r, needing), r.Row.Platform, "# " + strings.TrimRight(section, "\n") + "\n"})
	}
	if len(all) == 0 {
		return &CompileError{targetNames(r, stale), r.Row.Platform, stderr}
	}
	return errors.Join(all...)
}

func targetNames(r Request, which []int) []string {
	var names []string
	for _, i := range which {
		names = append(names, r.Targets[i].Name)
	}
	return names
}
