package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/internal/format"
	"github.com/multiarch-build/multiarch/tools/internal/progress"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// tracker shows what a command is doing until it is finished. It prints nothing for cached work.
type tracker struct {
	terminal *terminal
	display  *progress.Display // nil if quiet
	began    time.Time

	mu          sync.Mutex
	done, total int             // platforms of images
	built       map[string]bool // images that were not cached
	transfers   map[string]*progress.Task
}

// progress opens the display of a command. Only one is open at a time.
func (t *terminal) progress() *tracker {
	p := &tracker{terminal: t, began: time.Now(), built: map[string]bool{}, transfers: map[string]*progress.Task{}}
	if !t.quiet {
		p.display = progress.New(t.err, progress.Options{Live: t.live, Color: t.color})
	}
	t.display.Swap(p.display).Close()
	return p
}

// start shows a stage of the work called name.
func (p *tracker) start(name, stage string) *progress.Task {
	return p.display.Start(registry.Printable(reference.RedactText(name)), stage)
}

// during shows a stage while do runs.
func (p *tracker) during(name, stage string, do func() error) error {
	defer p.start(name, stage).Done()
	return do()
}

// expect adds platforms of images to the number of those that will be built.
func (p *tracker) expect(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total += n
	p.summarize()
}

func (p *tracker) summarize() {
	p.display.Summary(fmt.Sprintf("%d of %s built", p.done, format.Count(p.total, "image")))
}

// step shows a step of the engine.
func (p *tracker) step(s build.Step) build.Running {
	if s.Stage == build.Compile || s.Stage == build.Compress {
		p.mu.Lock()
		for _, name := range s.Of {
			p.built[name] = true
		}
		p.mu.Unlock()
	}
	return p.start(s.Platform.String()+" "+listed(s.Of), string(s.Stage))
}

// listed joins names. It does not list them all, because a line would be too long.
func listed(names []string) string {
	const most = 4
	if len(names) > most {
		names = append(slices.Clone(names[:most-1]), fmt.Sprintf("%d more", len(names)-most+1))
	}
	return strings.Join(names, ", ")
}

// event counts a platform of an image that is finished, and announces an image that is finished as a whole.
func (p *tracker) event(e build.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	p.summarize()
	if e.Done == e.Total && p.built[e.Image] {
		took := time.Since(p.began).Round(100 * time.Millisecond)
		p.display.Print(fmt.Sprintf("%s: built for %s in %s", e.Image, format.Count(e.Total, "platform"), took))
	}
}

// transfer returns a function that shows how many bytes of things were moved, each by its name.
func (p *tracker) transfer(stage string) func(name string, done, total int64) {
	return func(name string, done, total int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		task, known := p.transfers[name]
		if !known {
			task = p.start(name, stage)
			p.transfers[name] = task
		}
		task.Bytes(done, total)
		if done >= total {
			task.Done()
			delete(p.transfers, name)
		}
	}
}

// note prints a message above the display.
func (p *tracker) note(message string) { p.terminal.note("%s", message) }

// finish erases the display.
func (p *tracker) finish() {
	p.terminal.display.CompareAndSwap(p.display, nil)
	p.display.Close()
}
