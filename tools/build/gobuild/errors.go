package gobuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// CompileError is returned if the go command cannot compile targets.
type CompileError struct {
	Targets  []string // names of the targets that need the failing package
	Platform arch.Platform
	Output   string // of the go command
}

func (e *CompileError) Error() string {
	return fmt.Sprintf("compiling %s for %s:\n%s", strings.Join(e.Targets, ", "), e.Platform, e.Output)
}

// ChangedError is returned if a source changed while it was being compiled. The programs of one image index might then
// have been compiled from different sources.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return e.Path + " changed while it was being compiled" }

// Hint returns what to do.
func (e *ChangedError) Hint() string { return "run the command again" }

// listError is returned if the go command cannot list packages.
type listError struct {
	output string
	err    error
}

func (e *listError) Error() string { return e.output }

// afterListError handles an error of listing all stale targets. It returns one error for each target that cannot be
// listed alone. It compiles the others, so that one run reports all errors.
func (b *Builder) afterListError(ctx context.Context, r Request, stale []int, binaries []Binary, err error) error {
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

// compileErrors splits the output of the go command by package and names the targets that need each package. A line
// "# import/path" precedes the errors of a package.
func (l listing) compileErrors(r Request, stale []int, stderr string) error {
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
		output := "# " + strings.TrimRight(section, "\n") + "\n"
		all = append(all, &CompileError{targetNames(r, needing), r.Row.Platform, output})
	}
	if len(all) == 0 {
		return &CompileError{targetNames(r, stale), r.Row.Platform, stderr}
	}
	return errors.Join(all...)
}

func targetNames(r Request, indexes []int) []string {
	var names []string
	for _, i := range indexes {
		names = append(names, r.Targets[i].Name)
	}
	return names
}
