// Command assemble is the program that Bazel actions run. It reads base images and writes layers, image manifests,
// image indexes, OCI layouts and tags, with the same packages as the embedded engine. It depends only on the files in
// its arguments: it uses no clock, no network and no environment variables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
)

func main() {
	if slices.Contains(os.Args[1:], persistent) {
		// Bazel stops a worker with a signal or by closing stdin. Incomplete files have temporary names.
		if err := work(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "multiarch: %v\n", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// command implements a command of the program: it reads flags and writes files.
type command func(ctx context.Context, flags *flag.FlagSet, args []string) error

func commands() map[string]command {
	return map[string]command{
		"base":   writeBase,
		"layer":  writeLayer,
		"image":  writeImage,
		"index":  writeIndex,
		"layout": writeLayout,
		"stack":  writeStack,
		"status": writeStatus,
		"tags":   writeTags,
	}
}

// run executes a command and returns the exit code. It expands an argument @FILE to the lines of FILE, which is a
// params file of Bazel in the multiline format.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	err := try(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "multiarch: %v\n", err)
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func try(ctx context.Context, args []string) error {
	args, err := expand(args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return usagef("a command is required: base, layer, image, index, layout, stack, status or tags")
	}
	do, ok := commands()[args[0]]
	if !ok {
		return usagef("unknown command %q; known: base, layer, image, index, layout, stack, status, tags", args[0])
	}
	return do(ctx, newFlags(args[0]), args[1:])
}

func newFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// expand replaces params files with their lines.
func expand(args []string) ([]string, error) {
	var out []string
	for _, a := range args {
		file, ok := strings.CutPrefix(a, "@")
		if !ok {
			out = append(out, a)
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading arguments: %w", err)
		}
		if len(content) > 0 {
			out = append(out, strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")...)
		}
	}
	return out, nil
}

// parse parses flags, allows no other arguments, and checks that required flags are set.
func parse(flags *flag.FlagSet, args []string, required ...string) error {
	if err := flags.Parse(args); err != nil {
		return &usageError{fmt.Errorf("%s: %w", flags.Name(), err)}
	}
	if flags.NArg() > 0 {
		return usagef("%s: unexpected argument %q", flags.Name(), flags.Arg(0))
	}
	for _, name := range required {
		if flags.Lookup(name).Value.String() == "" {
			return usagef("%s: flag -%s is required", flags.Name(), name)
		}
	}
	return nil
}

// list is a flag that can be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// usageError reports invalid arguments, which are a bug in the rules.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// hintError is an error with a hint.
type hintError struct {
	error
	hint string
}

func (e *hintError) Hint() string  { return e.hint }
func (e *hintError) Unwrap() error { return e.error }
