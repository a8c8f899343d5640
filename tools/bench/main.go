// Command bench measures multiarch against its peers: a bare go build for every platform, which makes no images at all,
// and ko, with and without its cache. It makes some small services, lets everybody build them in turn, and prints
// medians as a Markdown table. With -release it measures releases against crane.
//
//	go run ./tools/bench
//	go run ./tools/bench -scale 1000x10
//	go run ./tools/bench -bazel -services 20 -rounds 5
//	go run ./tools/bench -packages -rounds 3
//	go run ./tools/bench -release -rounds 3
//
// Everything is made in a temporary folder (some gigabytes of Go build caches), which is gone at the end. Only ko
// itself, and what it is made of, comes from elsewhere: through the Go module proxy.
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

// settings are the flags.
type settings struct {
	services  int
	platforms []string
	rounds    int
	ko        string
	scale     *size // nil: compare with the peers
	bazel     bool  // compare our rules with rules_oci and rules_img
	bazelrcs  []string
	packages  bool // compare an image of Debian packages with mmdebstrap and buildah
	mirror    string
	release   bool // compare releases with crane
}

// size is a number of services for a number of platforms each.
type size struct{ services, platforms int }

func (s size) String() string { return fmt.Sprintf("%d x %d", s.services, s.platforms) }

// usageError is returned for flags that make no sense.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var platforms, scale, bazelrcs string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are printed once, by start
	flags.IntVar(&s.services, "services", 5, "how many services are built")
	flags.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64,linux/arm/v7,linux/s390x", "the Linux `platforms` each of them is built for")
	flags.IntVar(&s.rounds, "rounds", 5, "how many times each measurement is repeated")
	flags.StringVar(&s.ko, "ko", "v0.19.1", "the `version` of ko to compare with")
	flags.StringVar(&scale, "scale", "", "measure how multiarch alone grows instead: plans up to `SERVICESxPLATFORMS`, such as 1000x10, and builds of 5, 10 and 20 services")
	flags.BoolVar(&s.bazel, "bazel", false, "compare the Bazel rules with rules_oci and rules_img instead, with the bazel on PATH; -services 20 -rounds 5 is what the README quotes")
	flags.StringVar(&bazelrcs, "bazelrc", "", "`files` of options for Bazel, with commas between them: where modules come from, where no registry can be asked")
	flags.BoolVar(&s.packages, "packages", false, "compare the Python service of images/multiarch.yaml with mmdebstrap and buildah instead, as root")
	flags.StringVar(&s.mirror, "mirror", "http://deb.debian.org/debian", "the Debian mirror that everybody takes packages from, for -packages")
	flags.BoolVar(&s.release, "release", false, "compare releases of 10 and 100 images to a registry that is 20 ms away with crane push instead; -rounds 3 is what the README quotes")
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
		return s, usagef("%q is no flag, and there are no arguments", flags.Arg(0))
	case s.services < 1:
		return s, usagef("-services %d: at least one is needed", s.services)
	case s.rounds < 1:
		return s, usagef("-rounds %d: at least one is needed", s.rounds)
	case !strings.HasPrefix(s.ko, "v"):
		return s, usagef("-ko %q: a version such as v0.19.1 is needed, so that results can be compared", s.ko)
	}
	for rc := range strings.SplitSeq(bazelrcs, ",") {
		if rc != "" {
			s.bazelrcs = append(s.bazelrcs, rc)
		}
	}
	var comparisons []string
	for _, c := range []struct {
		flag  string
		asked bool
	}{{"-bazel", s.bazel}, {"-packages", s.packages}, {"-release", s.release}, {"-scale", scale != ""}} {
		if c.asked {
			comparisons = append(comparisons, c.flag)
		}
	}
	switch {
	case len(comparisons) > 1:
		return s, usagef("%s exclude each other", strings.Join(comparisons, " and "))
	case !s.bazel && bazelrcs != "":
		return s, usagef("-bazelrc is for -bazel")
	}
	for name := range strings.SplitSeq(platforms, ",") {
		name = strings.TrimSpace(name)
		if slices.Contains(s.platforms, name) {
			return s, usagef("-platforms: %s stands there twice", name)
		}
		s.platforms = append(s.platforms, name)
	}
	if scale == "" {
		return s, nil
	}
	s.scale = &size{}
	if n, err := fmt.Sscanf(scale+"\n", "%dx%d\n", &s.scale.services, &s.scale.platforms); n != 2 || err != nil || s.scale.services < 1 || s.scale.platforms < 1 {
		return s, usagef("-scale %q: services x platforms are needed, such as 1000x10", scale)
	}
	return s, nil
}

// execute is the whole program: arguments in, tables out. Progress goes to stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	w, err := openWorkshop(stderr)
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

// circumstances say what the numbers depend on.
func circumstances(ctx context.Context, w *workshop, s settings) (string, error) {
	version, err := w.output(ctx, command{args: []string{"go", "env", "GOVERSION"}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s on %s/%s, %d CPUs, %d rounds: medians, and the smallest and largest in parentheses.\n"+
		"Peak memory is that of the program's own process, without the compilers it starts: %s.",
		strings.TrimSpace(version), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), s.rounds, memorySource), nil
}
