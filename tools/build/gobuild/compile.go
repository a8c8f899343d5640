package gobuild

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// compile runs the go command for the stale targets, sets their binaries, and records their inputs. It starts again if
// the cache is removed in the meantime.
func (b *Builder) compile(ctx context.Context, r Request, stale []int, binaries []Binary) (err error) {
	listFirst := r.Cgo
	for range attempts {
		var o *outputs
		if o, err = b.newOutputs(r); err != nil {
			return err
		}
		err = b.compileInto(ctx, o, r, stale, binaries, listFirst)
		removed := o.removed()
		o.close()
		if errors.Is(err, errNativeInputs) {
			listFirst = true
		} else if err == nil || !removed || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// errNativeInputs is returned if a target that was compiled before it was listed turns out to have native inputs.
var errNativeInputs = errors.New("a package has native inputs for the first time")

func (b *Builder) compileInto(
	ctx context.Context, o *outputs, r Request, stale []int, binaries []Binary, listFirst bool,
) error {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	watch := watchCompile(r, stale)
	release := sync.OnceFunc(func() {
		watch.done()
		<-b.slots
	})
	defer release()
	// Sources are read before the go command reads them, so that an edit in the meantime is detected. If the last record
	// lists the inputs, they can be read now, and the packages can be listed while the compiler runs.
	names, known := b.readLastInputs(r, stale)
	known = known && !listFirst
	var l listing
	listed := make(chan error, 1)
	var concurrent listing // owned by the goroutine until it sends to listed
	if known {
		go func() {
			var err error
			concurrent, err = b.list(ctx, r, stale, nil)
			listed <- err
		}()
	} else {
		var err error
		if l, err = b.list(ctx, r, stale, watch); err != nil {
			release()
			return b.afterListError(ctx, r, stale, binaries, err)
		}
		for _, i := range stale {
			names[i] = executableName(l.main(r.Targets[i]).ImportPath, r.Row)
			for _, in := range l.inputs[r.Targets[i].Package] {
				b.files.digest(in)
			}
		}
	}
	readBefore := b.files.readSoFar()
	jobs, err := b.newJobs(ctx, l, r, stale, names, !known)
	if err != nil {
		if known {
			<-listed
		}
		return err
	}
	o.assignSlots(r, stale, names, binaries)
	stderr, buildErr := b.goBuild(ctx, o, r, jobs, watch)
	if known {
		err = <-listed
		l = concurrent
	}
	release()
	if err != nil {
		return b.afterListError(ctx, r, stale, binaries, err)
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(buildErr, &exit):
		return l.compileErrors(r, stale, stderr)
	case buildErr != nil:
		return buildErr
	}
	return b.install(ctx, o, r, jobs, l, !known, readBefore, binaries)
}

// readLastInputs reads the inputs that the stale targets had when they were last compiled, and returns the names of
// their programs. known is false if a target has to be listed before it is compiled.
func (b *Builder) readLastInputs(r Request, stale []int) (names map[int]string, known bool) {
	names = map[int]string{}
	for _, i := range stale {
		var last record
		recorded := b.store.Get(recordKind, b.key(r, r.Targets[i]), &last)
		if !recorded || len(last.Inputs) == 0 || last.Untracked != (untracked{}) {
			return names, false
		}
		names[i] = last.Name
		for _, in := range last.Inputs {
			b.files.digest(in)
		}
	}
	return names, true
}

// job is a stale target that is about to be compiled.
type job struct {
	target    int // index in the request
	name      string
	untracked untracked
	salts     salts
	// rebuild makes the go command ignore its own cache.
	rebuild bool
	last    *record // nil if the target has not been compiled before
}

// untracked identifies the inputs of a program that the go command does not track. The JSON names are those of existing
// caches.
type untracked struct {
	NativeInputs string `json:"salt,omitempty"`
	Compiler     string `json:"compiler,omitempty"` // the C compiler and the libraries of the system
}

// untrackedKind is the kind of the records of the untracked inputs that a package was last compiled with. Linker
// flags are not part of their keys.
const untrackedKind = "foreign"

func (b *Builder) untrackedKey(r Request, t Target) string {
	return digest(untrackedKind, b.dir, r.Row.Go.Environ(), r.Tags, r.Env, r.Cgo, t.Package)
}

// newJobs prepares the stale targets. If listed is false, none of them has native inputs.
func (b *Builder) newJobs(
	ctx context.Context, l listing, r Request, stale []int, names map[int]string, listed bool,
) ([]job, error) {
	var jobs []job
	for _, i := range stale {
		t := r.Targets[i]
		j := job{target: i, name: names[i]}
		var last record
		if b.store.Get(recordKind, b.key(r, t), &last) {
			j.last = &last
		}
		if listed {
			main := l.main(t)
			j.salts = b.salts(ctx, l, main, b.files)
			j.untracked.NativeInputs = j.salts.identity()
			if r.Cgo {
				var err error
				j.untracked.Compiler, err = b.compilerIdentity(ctx, r, l.systemLibraries(ctx, b, main))
				if err != nil {
					return nil, err
				}
				var before untracked
				known := b.store.Get(untrackedKind, b.untrackedKey(r, t), &before)
				j.rebuild = known && before.Compiler != j.untracked.Compiler
			} else {
				j.rebuild = j.salts.macro != "" // the macro only affects C compilers
			}
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// jobGroup identifies the jobs that one go command can compile.
type jobGroup struct {
	slot    string
	macro   string
	rebuild bool
}

// goBuild compiles the jobs into the work directory. It runs one go command, unless two programs have the same name or
// packages need different settings.
func (b *Builder) goBuild(
	ctx context.Context, o *outputs, r Request, jobs []job, watch *compileWatch,
) (stderr string, err error) {
	var order []jobGroup
	members := map[jobGroup][]job{}
	for _, j := range jobs {
		g := jobGroup{o.slot(j.target), j.salts.macro, j.rebuild}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], j)
	}
	for _, g := range order {
		output, buildErr := b.goBuildGroup(ctx, o, r, g, members[g], watch)
		var exit *exec.ExitError
		if buildErr != nil && !errors.As(buildErr, &exit) {
			return "", buildErr
		}
		// The errors of one group do not hide those of another.
		stderr, err = stderr+output, errors.Join(err, buildErr)
	}
	return stderr, err
}

func (b *Builder) goBuildGroup(
	ctx context.Context, o *outputs, r Request, g jobGroup, jobs []job, watch *compileWatch,
) (stderr string, err error) {
	out, err := o.makeSlot(g.slot)
	if err != nil {
		return "", err
	}
	args := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-p=" + strconv.Itoa(b.jobs), "-o", out}
	if len(r.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(r.Tags, ","))
	}
	if g.rebuild {
		args = append(args, "-a")
	}
	added := map[string]string{}
	for _, j := range jobs {
		maps.Copy(added, j.salts.files)
		if flags := r.Targets[j.target].Ldflags; len(flags) > 0 {
			args = append(args, "-ldflags="+r.Targets[j.target].Package+"="+strings.Join(flags, " "))
		}
		if j.last != nil && !j.rebuild && !b.inputsKnown(r) && j.last.Untracked == j.untracked {
			o.copyLast(j.target, *j.last)
		}
	}
	if len(added) > 0 {
		flag, err := o.overlay(added)
		if err != nil {
			return "", err
		}
		args = append(args, flag)
	}
	args = append(args, "--")
	for _, j := range jobs {
		args = append(args, r.Targets[j.target].Package)
	}
	cmd, err := b.tool.command(ctx, b.dir, r, args...)
	if err != nil {
		return "", err
	}
	if g.macro != "" {
		flags := b.tool.setting(r, "CGO_CPPFLAGS") + " -DMULTIARCH_NATIVE_INPUTS=0x" + g.macro
		cmd.Env = append(cmd.Env, "CGO_CPPFLAGS="+strings.TrimSpace(flags))
	}
	_, stderr, err = run(cmd, watch)
	return stderr, err
}

// install moves the compiled programs to their final paths, sets their binaries, and records their inputs. readBefore
// reports whether an input was read before the go command started. Only the content of those is known to be what the go
// command compiled.
func (b *Builder) install(
	ctx context.Context, o *outputs, r Request, jobs []job, l listing, listed bool, readBefore func(input) bool,
	binaries []Binary,
) error {
	after := newFiles()
	for _, j := range jobs {
		t := r.Targets[j.target]
		inputs, complete := slices.Clone(l.inputs[t.Package]), len(l.inputs[t.Package]) > 0
		for n, in := range inputs {
			if !readBefore(in) {
				complete = false // the package was imported for the first time; the next build reads it beforehand
				continue
			}
			inputs[n].Digest = b.files.digest(in)
			if now := after.digest(in); in.editedByGo() {
				inputs[n].Digest = now
			} else if now != inputs[n].Digest {
				b.store.Forget(recordKind, b.key(r, t))
				return &ChangedError{string(in.Path)}
			}
		}
		if b.salts(ctx, l, l.main(t), after).identity() != j.untracked.NativeInputs {
			if !listed {
				return errNativeInputs
			}
			b.store.Forget(recordKind, b.key(r, t))
			return &ChangedError{"a header or library of " + t.Package}
		}
		binary, err := o.install(j.target)
		if err != nil {
			return fmt.Errorf("storing the program %s: %w", t.Package, err)
		}
		binaries[j.target] = binary
		if !complete || !b.inputsKnown(r) {
			inputs = nil
		}
		err = b.store.Put(recordKind, b.key(r, t), record{
			Inputs: inputs, Name: j.name, RequestDir: o.requestDir, Slot: o.slot(j.target),
			Size: binary.Size, SHA256: binary.SHA256, Untracked: j.untracked,
		})
		if j.untracked != (untracked{}) {
			err = errors.Join(err, b.store.Put(untrackedKind, b.untrackedKey(r, t), j.untracked))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inputsKnown reports whether all inputs of a request can be known, which is required for reusing a program. The
// files that a C compiler reads from the system are not known.
func (b *Builder) inputsKnown(r Request) bool { return !r.Cgo && b.tool.inputsKnown(r) }
