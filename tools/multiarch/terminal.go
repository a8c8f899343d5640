package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// terminal is the only place that talks to a person. Results go to out, which a script may read; everything else goes
// to err.
type terminal struct {
	out   *output
	err   io.Writer
	live  bool // err is a terminal that can redraw lines
	quiet bool // only results and errors
}

// output is where results go. It remembers that one was lost, for those who print them do not ask.
type output struct {
	io.Writer
	failed error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.failed == nil {
		o.failed = fmt.Errorf("writing the result: %w", err)
	}
	return n, err
}

func newTerminal(out, err io.Writer) *terminal {
	f, ok := err.(*os.File)
	return &terminal{out: &output{Writer: out}, err: err, live: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// result prints a line of output.
func (t *terminal) result(format string, args ...any) {
	fmt.Fprintf(t.out, format+"\n", args...)
}

// json prints a value as output.
func (t *terminal) json(v any) error {
	e := json.NewEncoder(t.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// note says something that is not a result.
func (t *terminal) note(format string, args ...any) {
	if !t.quiet {
		fmt.Fprintln(t.err, registry.Printable(reference.RedactText(fmt.Sprintf(format, args...))))
	}
}

// exit reports how a command ended and returns the exit code. A command whose result was lost has failed, whatever it
// says itself.
func (t *terminal) exit(err error) int {
	if t.out.failed != nil && (err == nil || errors.Is(err, errDiffers)) {
		err = t.out.failed
	}
	for _, line := range explain(err) {
		fmt.Fprintln(t.err, registry.Printable(reference.RedactText(line)))
	}
	return exitCode(err)
}

// explain turns an error into lines: what is wrong, and what to do about it.
func explain(err error) []string {
	var (
		wrong   config.Errors
		program *programExit
		images  *imageErrors
	)
	switch {
	case err == nil, errors.Is(err, errDiffers), errors.As(err, &program): // it has said what it had to say
		return nil
	case errors.As(err, &wrong):
		return []string{wrong.Error()}
	case errors.As(err, &images):
		return []string{images.Error()}
	}
	// Only what is joined and nothing more: an error that says what was being done says it about all of it.
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

// progress shows how far several things are: bars that move on a terminal, a line a step elsewhere.
type progress struct {
	t    *terminal
	mu   sync.Mutex
	bars *mpb.Progress
	bar  map[string]*bar
}

type bar struct {
	bar  *mpb.Bar
	step atomic.Pointer[string] // read by the drawing goroutine, which the one that holds mu may be waiting for
	last time.Time
}

func (t *terminal) progress() *progress {
	p := &progress{t: t, bar: map[string]*bar{}}
	if t.live && !t.quiet {
		p.bars = mpb.New(mpb.WithOutput(t.err), mpb.WithWidth(40), mpb.WithAutoRefresh())
	}
	return p
}

// expect says that name will have total steps, so that a bar is there before the first of them is done.
func (p *progress) expect(name string, total int64) {
	if p.bars == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at(name, total, decor.CountersNoUnit("%d of %d", decor.WCSyncSpace))
}

// step says that name has come to done of total, last with what step names.
func (p *progress) step(name, step string, done, total int64) {
	if p.t.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		fmt.Fprintf(p.t.err, "%s: %s (%d of %d)\n", name, step, done, total)
		return
	}
	b := p.at(name, total, decor.CountersNoUnit("%d of %d", decor.WCSyncSpace))
	b.step.Store(&step)
	b.bar.SetTotal(total, false)
	b.bar.SetCurrent(done)
}

// bytes says that name has moved done of total bytes. Without a terminal it says so about once in five seconds.
func (p *progress) bytes(name string, done, total int64) {
	if p.t.quiet || total <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.at(name, total, decor.CountersKibiByte("% .1f of % .1f", decor.WCSyncSpace))
	if p.bars == nil {
		if done >= total || time.Since(b.last) > 5*time.Second {
			fmt.Fprintf(p.t.err, "%s: %s of %s\n", name, size(done), size(total))
			b.last = time.Now()
		}
		return
	}
	b.bar.SetTotal(total, false)
	b.bar.SetCurrent(done)
}

// note prints a line above the bars.
func (p *progress) note(message string) {
	if p.t.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		fmt.Fprintln(p.t.err, message)
		return
	}
	_, _ = p.bars.Write([]byte(message + "\n"))
}

func (p *progress) at(name string, total int64, counter decor.Decorator) *bar {
	b, ok := p.bar[name]
	if ok {
		return b
	}
	b = &bar{last: time.Now()}
	p.bar[name] = b
	if p.bars != nil {
		b.bar = p.bars.AddBar(total, mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)), mpb.AppendDecorators(counter, decor.Any(func(decor.Statistics) string {
			if step := b.step.Load(); step != nil {
				return " " + *step
			}
			return ""
		})))
	}
	return b
}

// finish leaves the bars as they stand. Nothing may be printed before it.
func (p *progress) finish() {
	if p.bars == nil {
		return
	}
	for _, b := range p.bar {
		b.bar.Abort(false) // has no effect on a bar that is complete
	}
	p.bars.Wait()
}
