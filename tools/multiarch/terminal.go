package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/internal/progress"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// terminal writes results to out, which scripts may read, and everything else to err.
type terminal struct {
	out   *output
	err   io.Writer
	live  bool // err is a terminal that can redraw lines
	color bool
	quiet bool // only results and errors

	display atomic.Pointer[progress.Display] // the open one, or nil
}

// output is where results go. It remembers a failed write, because the callers that print do not check.
type output struct {
	io.Writer
	failed  error
	suspend func(write func()) // keeps results apart from the display
}

func (o *output) Write(p []byte) (n int, err error) {
	o.suspend(func() { n, err = o.Writer.Write(p) })
	if err != nil && o.failed == nil {
		o.failed = fmt.Errorf("writing the result: %w", err)
	}
	return n, err
}

func newTerminal(out, err io.Writer) *terminal {
	f, ok := err.(*os.File)
	t := &terminal{err: err, live: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
	t.color = t.live && os.Getenv("NO_COLOR") == "" // https://no-color.org
	t.out = &output{Writer: out, suspend: t.suspend}
	return t
}

// suspend calls write while nothing else is on the terminal.
func (t *terminal) suspend(write func()) { t.display.Load().Suspend(write) }

// result prints a line of output.
func (t *terminal) result(format string, args ...any) {
	fmt.Fprintf(t.out, format+"\n", args...)
}

// json prints a value as a result.
func (t *terminal) json(v any) error {
	e := json.NewEncoder(t.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// note prints a message that is not a result.
func (t *terminal) note(format string, args ...any) {
	if t.quiet {
		return
	}
	message := registry.Printable(reference.RedactText(fmt.Sprintf(format, args...)))
	t.suspend(func() { fmt.Fprintln(t.err, message) })
}

// exit reports how a command ended and returns the exit code. A command whose result could not be written has failed.
func (t *terminal) exit(err error) int {
	t.display.Swap(nil).Close()
	if t.out.failed != nil && (err == nil || errors.Is(err, errDiffers)) {
		err = t.out.failed
	}
	for _, line := range explain(err) {
		fmt.Fprintln(t.err, registry.Printable(reference.RedactText(line)))
	}
	return exitCode(err)
}

// explain turns an error into lines: what is wrong, and a hint.
func explain(err error) []string {
	var (
		wrong   config.Errors
		program *programExit
		images  *imageErrors
	)
	switch {
	case err == nil, errors.Is(err, errDiffers), errors.As(err, &program): // already reported
		return nil
	case errors.As(err, &wrong):
		return []string{wrong.Error()}
	case errors.As(err, &images):
		return []string{images.Error()}
	}
	// Split joined errors, but not those that add what was being done.
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines, parts []string
		for _, one := range joined.Unwrap() {
			lines = append(lines, explain(one)...)
			parts = append(parts, one.Error())
		}
		if err.Error() == strings.Join(parts, "\n") {
			return lines
		}
	}
	lines := []string{"multiarch: " + strings.TrimRight(err.Error(), "\n")}
	if hint := fault.HintOf(err); hint != "" {
		lines = append(lines, "hint: "+hint)
	}
	return lines
}
