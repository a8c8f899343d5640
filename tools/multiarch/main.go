// Command multiarch builds container images for many architectures from one multiarch.yaml, publishes them as image
// indexes and examines the result. This package holds the command line only: flags, streams, messages and exit codes,
// with one file per command. The work is done by the packages that it imports.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/multiarch-build/multiarch/tools/internal/runfiles"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/run"
)

func main() { os.Exit(start()) }

func start() int {
	// run starts this program again as the first process of the image.
	if code, ok := run.Init(); ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal cancels the context. A second Ctrl-C ends the program immediately, but a SIGTERM does not:
	// pipelines send it a few seconds after SIGINT, while tags may still be rolled back.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	a := &app{}
	args := os.Args[1:]
	launch, err := runfiles.Find(os.Args[0])
	if err != nil {
		return newTerminal(os.Stdout, os.Stderr).exit(err)
	}
	if launch != nil {
		args = slices.Concat(launch.Args, args)
		a.locate = launch.Path
	}
	return a.execute(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return new(app).execute(ctx, args, stdin, stdout, stderr)
}

func (a *app) execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a.terminal, a.stdin, a.limits = newTerminal(stdout, stderr), stdin, &registry.Limits{}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(a.terminal.out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		err = interrupted(err)
	}
	return a.terminal.exit(err)
}
