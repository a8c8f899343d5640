// Package progress shows the progress of long-running work. Work consists of stages, such as compiling a program for
// a platform. On a terminal, it shows the running stages as lines that are redrawn in place. Otherwise, it prints a
// line when a stage starts, and a heartbeat after a while without output. A stage that takes less than [Patience] is
// not shown, so that cached work prints nothing.
package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/cupwriter"

	"github.com/multiarch-build/multiarch/tools/internal/format"
)

const (
	// Patience is how long a stage has to take before it is shown.
	Patience = 250 * time.Millisecond
	// Silence is how long a display without a terminal may print nothing while a stage is running.
	Silence = 15 * time.Second

	tick = 100 * time.Millisecond
)

// Options describe where a display is written to.
type Options struct {
	// Live is whether the writer is a terminal whose lines can be redrawn.
	Live bool
	// Color is whether a live display uses colors.
	Color bool
	// Size returns the size of the terminal; nil queries the terminal.
	Size func() (width, height int, err error)
}

// Display shows the running stages. A nil Display shows nothing. While a display is open, other output to the same
// terminal must use [Display.Print] or [Display.Suspend].
type Display struct {
	out     io.Writer
	options Options
	screen  *cupwriter.Writer // nil unless live

	mu      sync.Mutex
	tasks   []*Task // running tasks, in the order in which they started
	summary string
	began   time.Time // when the first stage started
	printed time.Time // when a line was last printed
	drawn   bool      // whether there are lines to erase
	closed  bool
	stop    chan struct{} // nil until the first stage starts
	stopped chan struct{}
}

// New returns a display that writes to w. It does nothing until the first stage starts.
func New(w io.Writer, o Options) *Display {
	d := &Display{out: w, options: o}
	if o.Live {
		d.screen = cupwriter.New(w, true)
		if o.Size == nil {
			d.options.Size = d.screen.GetTermSize
		}
	}
	return d
}

// Task is a running stage.
type Task struct {
	display     *Display
	name, stage string
	detail      string
	started     time.Time
	announced   bool // whether a line was printed for it
}

// Start shows a stage of the work called name until Done is called. A closed display ignores it.
func (d *Display) Start(name, stage string) *Task {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	t := &Task{display: d, name: printable(name), stage: printable(stage), started: time.Now()}
	d.tasks = append(d.tasks, t)
	if d.stop == nil {
		d.began, d.printed = t.started, t.started
		d.stop, d.stopped = make(chan struct{}), make(chan struct{})
		go d.run(d.stop, d.stopped)
	}
	return t
}

// Detail replaces the text that is shown after the stage.
func (t *Task) Detail(text string) {
	if t == nil {
		return
	}
	t.display.mu.Lock()
	defer t.display.mu.Unlock()
	t.detail = printable(text)
}

// Bytes shows the number of processed bytes. The total is 0 if it is unknown.
func (t *Task) Bytes(done, total int64) {
	if total <= 0 {
		t.Detail(format.Bytes(done))
		return
	}
	t.Detail(fmt.Sprintf("%s of %s", format.Bytes(done), format.Bytes(total)))
}

// Done ends a task.
func (t *Task) Done() {
	if t == nil {
		return
	}
	d := t.display
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tasks = slices.DeleteFunc(d.tasks, func(other *Task) bool { return other == t })
}

// Summary replaces the last line, which describes the overall progress.
func (d *Display) Summary(text string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary = printable(text)
}

// Print writes a line that is not erased.
func (d *Display) Print(line string) {
	if d == nil {
		return
	}
	d.Suspend(func() { fmt.Fprintln(d.out, line) })
}

// Suspend erases the display and calls write, which may write to the terminal.
func (d *Display) Suspend(write func()) {
	if d == nil {
		write()
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	write()
	d.printed = time.Now()
}

// Close erases the display. It may be called more than once.
func (d *Display) Close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	stop, stopped := d.stop, d.stopped
	if !d.closed && stop != nil {
		close(stop)
	}
	d.closed, d.tasks = true, nil
	d.erase()
	d.mu.Unlock()
	if stopped != nil {
		<-stopped
	}
}

// run updates the display until it is closed.
func (d *Display) run(stop, stopped chan struct{}) {
	defer close(stopped)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			d.update(time.Now())
		}
	}
}

func (d *Display) update(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	shown := slices.DeleteFunc(slices.Clone(d.tasks), func(t *Task) bool { return now.Sub(t.started) < Patience })
	if d.screen != nil {
		d.draw(shown, now)
		return
	}
	for _, t := range shown {
		if !t.announced {
			t.announced = true
			d.println(now, t.name+": "+t.stage)
		}
	}
	if len(shown) > 0 && now.Sub(d.printed) >= Silence {
		d.println(now, heartbeat(shown, d.summary, now))
	}
}

func (d *Display) println(now time.Time, line string) {
	fmt.Fprintln(d.out, line)
	d.printed = now
}

// draw replaces the lines of the last frame.
func (d *Display) draw(shown []*Task, now time.Time) {
	if len(shown) == 0 {
		d.erase()
		return
	}
	width, height, err := d.options.Size()
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	f := frame{width: width - 1, height: height - 1, color: d.options.Color, now: now}
	lines := f.lines(shown, d.summary, d.began)
	d.screen.WriteString(strings.Join(lines, "\n") + "\n")
	_ = d.screen.Flush(len(lines)) // a closed terminal needs no display
	d.drawn = true
}

// erase removes the lines of the last frame.
func (d *Display) erase() {
	if d.drawn {
		_ = d.screen.Flush(0)
		d.drawn = false
	}
}
