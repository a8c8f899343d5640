// Command bench compares multiarch with other tools: a plain go build per platform, which builds no images, and ko,
// with and without its cache. It generates small services, builds them with each tool in turn, and prints medians as a
// Markdown table. Flags select other comparisons: Bazel rules, Debian packages, releases, and growth.
//
//	go run ./tools/bench
//	go run ./tools/bench -scale 1000x10
//	go run ./tools/bench -bazel -services 20 -rounds 5
//	go run ./tools/bench -packages -rounds 3
//	go run ./tools/bench -release -rounds 3
//
// It works in a temporary directory, which needs some gigabytes for Go build caches and is removed at the end. It
// downloads only ko and its dependencies, from the Go module proxy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

func main() { os.Exit(start()) }

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var usage *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		return 1
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "bench: %v\nhint: see: go run ./tools/bench -help\n", err)
		return 2
	}
	fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	return 1
}

// settings are the values of flags.
type settings struct {
	services  int
	platforms []string
	rounds    int
	ko        string
	scale     *size // measure growth up to this size; nil compares with peers
	bazel     bool  // compare the Bazel rules with rules_oci and rules_img
	bazelrcs  []string
	packages  bool // compare an image of Debian packages with mmdebstrap and buildah
	mirror    string
	release   bool // compare releases with crane
}

// size is a number of services for a number of platforms each.
type size struct{ services, platforms int }

func (s size) String() string { return fmt.Sprintf("%d x %d", s.services, s.platforms) }

// usageError reports invalid flags.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var platforms, scale, bazelrcs string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are printed once, by start
	flags.IntVar(&s.services, "services", 5, "number of services to build")
	flags.StringVar(
		&platforms,
		"platforms",
		"linux/amd64,linux/arm64,linux/arm/v7,linux/s390x",
		"Linux `platforms` to build for",
	)
	flags.IntVar(&s.rounds, "rounds", 5, "number of times to repeat each measurement")
	flags.StringVar(&s.ko, "ko", "v0.19.1", "`version` of ko to compare with")
	flags.StringVar(
		&scale,
		"scale",
		"",
		"measure how multiarch scales instead: plans up to `SERVICESxPLATFORMS`, such as 1000x10, and builds of 5, "+
			"10 and 20 services",
	)
	flags.BoolVar(
		&s.bazel,
		"bazel",
		false,
		"compare the Bazel rules with rules_oci and rules_img instead, with the bazel on PATH (the README uses -services "+
			"20 -rounds 5)",
	)
	flags.StringVar(
		&bazelrcs,
		"bazelrc",
		"",
		"comma-separated rc `files` for Bazel, for example to override modules if no registry is reachable",
	)
	flags.BoolVar(
		&s.packages,
		"packages",
		false,
		"compare the Python service of images/multiarch.yaml with mmdebstrap and buildah instead, as root",
	)
	flags.StringVar(&s.mirror, "mirror", "http://deb.debian.org/debian", "Debian mirror for -packages")
	flags.BoolVar(
		&s.release,
		"release",
		false,
		"compare releases of 10 and 100 images with crane push instead, to a registry with 20 ms latency (the README uses "+
			"-rounds 3)",
	)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "usage: go run ./tools/bench [flags]")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return s, err
	} else if err != nil {
		return s, &usageError{err.Error()}
	}
	switch {
	case flags.NArg() > 0:
		return s, usagef("unexpected argument %q", flags.Arg(0))
	case s.services < 1:
		return s, usagef("-services %d: must be at least 1", s.services)
	case s.rounds < 1:
		return s, usagef("-rounds %d: must be at least 1", s.rounds)
	case !strings.HasPrefix(s.ko, "v"):
		return s, usagef("-ko %q: must be a fixed version such as v0.19.1, so that results are comparable", s.ko)
	}
	for rc := range strings.SplitSeq(bazelrcs, ",") {
		if rc != "" {
			s.bazelrcs = append(s.bazelrcs, rc)
		}
	}
	var comparisons []string
	for _, c := range []struct {
		flag string
		set  bool
	}{{"-bazel", s.bazel}, {"-packages", s.packages}, {"-release", s.release}, {"-scale", scale != ""}} {
		if c.set {
			comparisons = append(comparisons, c.flag)
		}
	}
	switch {
	case len(comparisons) > 1:
		return s, usagef("%s cannot be combined", strings.Join(comparisons, " and "))
	case !s.bazel && bazelrcs != "":
		return s, usagef("-bazelrc requires -bazel")
	}
	for name := range strings.SplitSeq(platforms, ",") {
		name = strings.TrimSpace(name)
		if slices.Contains(s.platforms, name) {
			return s, usagef("-platforms: duplicate platform %s", name)
		}
		s.platforms = append(s.platforms, name)
	}
	if scale == "" {
		return s, nil
	}
	s.scale = &size{}
	if n, err := fmt.Sscanf(scale+"\n", "%dx%d\n", &s.scale.services, &s.scale.platforms); n != 2 || err != nil ||
		s.scale.services < 1 ||
		s.scale.platforms < 1 {
		return s, usagef("-scale %q: must be SERVICESxPLATFORMS, such as 1000x10", scale)
	}
	return s, nil
}

// execute runs the comparison that args select. It writes tables to stdout and progress to stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	w, err := openWorkDir(stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if s.scale != nil {
		return scale(ctx, w, s, stdout)
	}
	if s.packages {
		return comparePackages(ctx, w, s, stdout)
	}
	if s.release {
		return compareRelease(ctx, w, s, stdout)
	}
	if s.bazel {
		return compareBazel(ctx, w, s, stdout)
	}
	return compare(ctx, w, s, stdout)
}

// circumstances describes the conditions of the measurements.
func circumstances(ctx context.Context, w *workDir, s settings) (string, error) {
	version, err := w.output(ctx, command{args: []string{"go", "env", "GOVERSION"}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s on %s/%s, %d CPUs, %d rounds: medians, with minimum and maximum in parentheses.\n"+
		"Peak memory is that of the program's own process, without the compilers it starts: %s.",
		strings.TrimSpace(version), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), s.rounds, memorySource), nil
}
