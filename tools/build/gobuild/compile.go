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
// of. It starts again if the cache is removed meanwhile.
func (b *Builder) compile(ctx context.Context, r Request, stale []int, binaries []Binary) (err error) {
	listFirst := r.Cgo
	for range attempts {
		var o *outputs
		if o, err = b.newOutputs(r); err != nil {
			return err
		}
		err = b.compileInto(ctx, o, r, stale, binaries, listFirst)
		lost := o.lost()
		o.close()
		if errors.Is(err, errNotListed) {
			listFirst = true
		} else if err == nil || !lost || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// errNotListed is that a target turned out to have native inputs after it was compiled without regard to them.
var errNotListed = errors.New("a package includes files from elsewhere for the first time")

func (b *Builder) compileInto(ctx context.Context, o *outputs, r Request, stale []int, binaries []Binary, listFirst bool) error {
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
	// What the sources hold is read before the go command reads them, so that an edit in between is noticed. The last
	// record says what to read; the list of what it is now can then be made while the compiler is at work.
	names, known := b.lastTime(r, stale)
	known = known && !listFirst
	var l listing
	meanwhile := make(chan error, 1)
	var late listing // written by the goroutine alone until it has sent to meanwhile
	if known {
		go func() {
			var err error
			late, err = b.list(ctx, r, stale, nil)
			meanwhile <- err
		}()
	} else {
		var err error
		if l, err = b.list(ctx, r, stale, watch); err != nil {
			release()
			return b.blame(ctx, r, stale, binaries, err)
		}
		for _, i := range stale {
			names[i] = executable(l.main(r.Targets[i]).ImportPath, r.Row)
			for _, in := range l.inputs[r.Targets[i].Package] {
				b.files.digest(in)
			}
		}
	}
	beforehand := b.files.known()
	jobs, err := b.jobsOf(ctx, l, r, stale, names, !known)
	if err != nil {
		if known {
			<-meanwhile
		}
		return err
	}
	o.assign(r, stale, names, binaries)
	stderr, buildErr := b.goBuild(ctx, o, r, jobs, watch)
	if known {
		err = <-meanwhile
		l = late
	}
	release()
	if err != nil {
		return b.blame(ctx, r, stale, binaries, err)
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
	return b.remember(ctx, o, r, jobs, l, !known, beforehand, binaries)
}

// lastTime reads the inputs that the stale targets had when they were last compiled, and returns the names of their
// executables. known is false if one of them is not known well enough to compile it before it has been listed.
func (b *Builder) lastTime(r Request, stale []int) (names map[int]string, known bool) {
	names = map[int]string{}
	for _, i := range stale {
		var last record
		if !b.store.Get(recordKind, b.key(r, r.Targets[i]), &last) || len(last.Inputs) == 0 || last.Foreign != (foreign{}) {
			return names, false
		}
		names[i] = last.Name
		for _, in := range last.Inputs {
			b.files.digest(in)
		}
	}
	return names, true
}

// job is a stale target about to be compiled.
type job struct {
	target  int // its number in the request
	name    string
	foreign foreign
	salts   salts
	// renew is that the go command must not take anything from its own cache.
	renew bool
	// last is the record of the last time, if there is one.
	last *record
}

// foreign identifies what a program is made of and the go command does not look at.
type foreign struct {
	Salt     string `json:"salt,omitempty"`     // native inputs
	Compiler string `json:"compiler,omitempty"` // the C compiler, and the libraries of the system
}

// foreignKind records what a package was last compiled with, whatever the linker flags were.
const foreignKind = "foreign"

func (b *Builder) foreignKey(r Request, t Target) string {
	return digest(foreignKind, b.dir, r.Row.Go.Environ(), r.Tags, r.Env, r.Cgo, t.Package)
}

// jobsOf prepares the stale targets. If listed is false, none of them has native inputs.
func (b *Builder) jobsOf(ctx context.Context, l listing, r Request, stale []int, names map[int]string, listed bool) ([]job, error) {
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
			j.foreign.Salt = j.salts.identity()
			if r.Cgo {
				var err error
				if j.foreign.Compiler, err = b.compilerIdentity(ctx, r, l.systemLibraries(ctx, b, main)); err != nil {
					return nil, err
				}
				var before foreign
				known := b.store.Get(foreignKind, b.foreignKey(r, t), &before)
				j.renew = known && before.Compiler != j.foreign.Compiler
			} else {
				j.renew = j.salts.macro != "" // which reaches C compilers only
			}
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// goBuild compiles the jobs into the work folder. One go command does it, unless two executables have the same name, or
// packages need different settings.
func (b *Builder) goBuild(
	ctx context.Context, o *outputs, r Request, jobs []job, watch *compileWatch,
) (stderr string, err error) {
	type setting struct {
		slot  string
		macro string
		renew bool
	}
	var order []setting
	groups := map[setting][]job{}
	for _, j := range jobs {
		s := setting{o.slot(j.target), j.salts.macro, j.renew}
		if groups[s] == nil {
			order = append(order, s)
		}
		groups[s] = append(groups[s], j)
	}
	for _, s := range order {
		out, err2 := o.prepare(s.slot)
		if err2 != nil {
			return "", err2
		}
		args := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-p=" + strconv.Itoa(b.jobs), "-o", out}
		if len(r.Tags) > 0 {
			args = append(args, "-tags="+strings.Join(r.Tags, ","))
		}
		if s.renew {
			args = append(args, "-a")
		}
		added := map[string]string{}
		for _, j := range groups[s] {
			maps.Copy(added, j.salts.files)
			if flags := r.Targets[j.target].Ldflags; len(flags) > 0 {
				args = append(args, "-ldflags="+r.Targets[j.target].Package+"="+strings.Join(flags, " "))
			}
			if j.last != nil && !j.renew && !b.reusable(r) && j.last.Foreign == j.foreign {
				o.seed(j.target, *j.last)
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
		for _, j := range groups[s] {
			args = append(args, r.Targets[j.target].Package)
		}
		cmd, missing := b.tool.command(ctx, b.dir, r, args...)
		if missing != nil {
			return "", missing
		}
		if s.macro != "" {
			flags := b.tool.setting(r, "CGO_CPPFLAGS") + " -DMULTIARCH_NATIVE_INPUTS=0x" + s.macro
			cmd.Env = append(cmd.Env, "CGO_CPPFLAGS="+strings.TrimSpace(flags))
		}
		_, said, failed := run(cmd, watch)
		var exit *exec.ExitError
		if failed != nil && !errors.As(failed, &exit) {
			return "", failed
		}
		// One group's errors do not hide another's.
		stderr, err = stderr+said, errors.Join(err, failed)
	}
	return stderr, err
}

// remember measures the binaries, moves them to where they stay, and records what they were made of. beforehand reports
// which inputs had been read when the go command began: only those are known to be what it read.
func (b *Builder) remember(ctx context.Context, o *outputs, r Request, jobs []job, l listing, listed bool, beforehand func(input) bool, binaries []Binary) error {
	after := newFiles()
	for _, j := range jobs {
		t := r.Targets[j.target]
		inputs, complete := slices.Clone(l.inputs[t.Package]), len(l.inputs[t.Package]) > 0
		for n, in := range inputs {
			if !beforehand(in) {
				complete = false // a package imported for the first time: next time it will be known beforehand
				continue
			}
			inputs[n].Digest = b.files.digest(in)
			if now := after.digest(in); in.written() {
				inputs[n].Digest = now
			} else if now != inputs[n].Digest {
				b.store.Forget(recordKind, b.key(r, t))
				return &ChangedError{string(in.Path)}
			}
		}
		if b.salts(ctx, l, l.main(t), after).identity() != j.foreign.Salt {
			if !listed {
				return errNotListed
			}
			b.store.Forget(recordKind, b.key(r, t))
			return &ChangedError{"a header or library of " + t.Package}
		}
		binary, err := o.keep(j.target)
		if err != nil {
			return fmt.Errorf("keeping what was compiled from %s: %w", t.Package, err)
		}
		binaries[j.target] = binary
		if !complete || !b.reusable(r) {
			inputs = nil
		}
		err = b.store.Put(recordKind, b.key(r, t), record{inputs, j.name, o.unit, o.slot(j.target), binary.Size, binary.SHA256, j.foreign})
		if j.foreign != (foreign{}) {
			err = errors.Join(err, b.store.Put(foreignKind, b.foreignKey(r, t), j.foreign))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reusable reports whether all inputs of a request can be known, so that a program need not be compiled again. What a C
// compiler reads from the system is not known.
func (b *Builder) reusable(r Request) bool { return !r.Cgo && b.tool.tracked(r) }

// blame turns a failure to list all targets into errors about those that cannot be listed by themselves. The others are
// compiled after all, so that what is wrong with them is said in the same run.
func (b *Builder) blame(ctx context.Context, r Request, stale []int, binaries []Binary, err error) error {
	var failed *listError
	if !errors.As(err, &failed) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	var all []error
	var others []int
	for _, i := range stale {
		var alone *listError
		if _, err := b.list(ctx, r, []int{i}, nil); errors.As(err, &alone) {
			all = append(all, &CompileError{[]string{r.Targets[i].Name}, r.Row.Platform, alone.output})
		} else {
			others = append(others, i)
		}
	}
	if len(all) == 0 {
		return &CompileError{targetNames(r, stale), r.Row.Platform, failed.output}
	}
	if len(others) > 0 {
		all = append(all, b.compile(ctx, r, others, binaries))
	}
	return errors.Join(all...)
}

// attribute splits the errors of the go command by package (a line "# import/path" precedes those of each) and names the
// targets that need it.
func (l listing) attribute(r Request, stale []int, stderr string) error {
	stderr = l.withoutPackageLines(stderr)
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
