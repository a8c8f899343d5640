package progress_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/internal/progress"
)

// wait advances the clock of the synctest bubble and waits until the display has reacted.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestPlainPrintsALineWhenAStageLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out terminal
		d := progress.New(&out, progress.Options{})
		short := d.Start("linux/arm64 hello", "compress")
		long := d.Start("linux/arm64 hello, clock", "compile")
		wait(200 * time.Millisecond)
		short.Done()
		assert.Empty(t, out.String())
		wait(10 * time.Second)
		long.Done()
		wait(time.Second)
		d.Close()
		assert.Equal(t, "linux/arm64 hello, clock: compile\n", out.String())
	})
}

func TestPlainHeartbeatBreaksSilenceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out terminal
		d := progress.New(&out, progress.Options{})
		d.Summary("1 of 4 images built")
		task := d.Start("linux/arm64 hello", "compile")
		task.Detail("212 packages")
		wait(10 * time.Second)
		d.Print("a note")
		wait(10 * time.Second)
		assert.Equal(t, "linux/arm64 hello: compile\na note\n", out.String(), "the note was 10 s ago")
		wait(6 * time.Second)
		assert.Equal(t, "linux/arm64 hello: compile\na note\n"+
			"still running: linux/arm64 hello: compile 25s (212 packages); 1 of 4 images built\n", out.String())
		wait(15 * time.Second)
		assert.Equal(t, 2, strings.Count(out.String(), "still running"))
		task.Done()
		wait(time.Minute)
		d.Close()
		assert.Equal(t, 2, strings.Count(out.String(), "still running"), "nothing is running")
	})
}

// terminal interprets the only control sequence of a display without colors: move up n lines and erase the rest.
type terminal struct {
	mu    sync.Mutex
	lines []string
}

var up = regexp.MustCompile(`^\x1b\[(\d+)A\x1b\[J`)

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		t.lines = []string{""}
	}
	for rest := string(p); rest != ""; {
		last := len(t.lines) - 1
		if m := up.FindStringSubmatch(rest); m != nil {
			var n int
			fmt.Sscan(m[1], &n)
			t.lines = append(t.lines[:last-n], "")
			rest = rest[len(m[0]):]
			continue
		}
		if rest[0] == '\n' {
			t.lines = append(t.lines, "")
		} else {
			t.lines[last] += rest[:1]
		}
		rest = rest[1:]
	}
	return len(p), nil
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

func size(width, height int) func() (int, int, error) {
	return func() (int, int, error) { return width, height, nil }
}

func TestLiveRedrawsInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out terminal
		d := progress.New(&out, progress.Options{Live: true, Size: size(80, 24)})
		d.Summary("1 of 4 images built")
		compile := d.Start("linux/arm64 hello, clock", "compile")
		wait(65 * time.Second)
		download := d.Start("linux/arm64 python", "download")
		download.Bytes(3<<20, 12<<20)
		compile.Detail("212 packages: net/http")
		wait(5 * time.Second)
		assert.Equal(t, "⠋ linux/arm64 hello, clock  compile   1m10s  212 packages: net/http\n"+
			"⠋ linux/arm64 python        download     5s  3.15MB of 12.6MB\n"+
			"  1 of 4 images built, 1m10s\n", out.String())
		wait(100 * time.Millisecond)
		assert.Contains(t, out.String(), "⠙", "the spinner moves")
		d.Print("hello: note")
		assert.Equal(t, "hello: note\n", out.String(), "erased before anything else is written")
		compile.Done()
		wait(100 * time.Millisecond)
		assert.Equal(t, "hello: note\n⠹ linux/arm64 python  download     5s  3.15MB of 12.6MB\n"+
			"  1 of 4 images built, 1m10s\n", out.String())
		d.Suspend(func() { _, _ = io.WriteString(&out, "hello sha256:…\n") })
		wait(100 * time.Millisecond)
		d.Close()
		d.Close()
		assert.Equal(t, "hello: note\nhello sha256:…\n", out.String())
		assert.Nil(t, d.Start("late", "compress"), "closed displays ignore stages")
	})
}

func TestLiveFitsTheTerminal(t *testing.T) {
	for _, of := range []struct{ width, height int }{{80, 24}, {40, 5}, {20, 3}, {12, 2}, {3, 1}, {1, 1}, {0, 0}} {
		for _, color := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				d := progress.New(&out, progress.Options{Live: true, Color: color, Size: size(of.width, of.height)})
				d.Summary("1 of 40 images built")
				for n := range 30 {
					name := fmt.Sprintf("linux/arm64 a service with a long name %d 世界", n)
					d.Start(name, "compile").Detail("example.com/some/rather/long/path")
				}
				wait(300 * time.Millisecond)
				d.Close()
				plain := regexp.MustCompile(`\x1b\[[0-9]*[mAJ]`).ReplaceAllString(out.String(), "")
				lines := strings.Split(strings.TrimSuffix(plain, "\n"), "\n")
				width, height := of.width, of.height
				if width == 0 {
					width, height = 80, 24
				}
				assert.LessOrEqual(t, len(lines), max(1, height-1), "%v", of)
				for _, l := range lines {
					assert.Less(t, runewidth.StringWidth(l), max(width, 2), "%v: %q", of, l)
				}
				if height == 24 {
					assert.Contains(t, plain, "\n  and 9 more\n  1 of 40 images built, 0s\n")
				}
			})
		}
	}
}

func TestLiveFollowsTheWidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out terminal
		var mu sync.Mutex
		width := 80
		d := progress.New(&out, progress.Options{Live: true, Size: func() (int, int, error) {
			mu.Lock()
			defer mu.Unlock()
			if width == 0 {
				return 0, 0, errors.New("the terminal is gone")
			}
			return width, 24, nil
		}})
		defer d.Close()
		d.Start("linux/arm64 hello", "compile").Detail("212 packages: example.com/some/rather/long/path")
		for _, w := range []int{80, 30, 0} {
			mu.Lock()
			width = w
			mu.Unlock()
			wait(time.Second)
			assert.Less(t, runewidth.StringWidth(strings.TrimSpace(out.String())), map[int]int{80: 80, 30: 30, 0: 80}[w])
		}
	})
}

func TestColors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := progress.New(&out, progress.Options{Live: true, Color: true, Size: size(80, 24)})
		d.Start("hello", "compile").Detail("212 packages")
		wait(300 * time.Millisecond)
		d.Close()
		assert.Contains(t, out.String(), "\x1b[36m⠸ \x1b[0mhello  \x1b[1mcompile  \x1b[0m   0s  \x1b[2m212 packages\x1b[0m\n")
	})
}

func TestControlSequencesAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out terminal
		d := progress.New(&out, progress.Options{})
		d.Start("a\x1b[2Jb\nc", "compile\r")
		wait(time.Second)
		d.Close()
		assert.Equal(t, "a [2Jb c: compile \n", out.String())
	})
}

// TestNoWorkNoOutput also checks that no goroutine is left, because the bubble would not end.
func TestNoWorkNoOutput(t *testing.T) {
	for _, live := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			d := progress.New(&out, progress.Options{Live: live, Size: size(80, 24)})
			d.Summary("0 of 4 images built")
			d.Start("linux/arm64 hello", "verify").Done()
			wait(time.Minute)
			d.Close()
			assert.Empty(t, out.String())
		})
	}
}

func TestNilShowsNothing(t *testing.T) {
	var d *progress.Display
	task := d.Start("hello", "compile")
	task.Detail("net/http")
	task.Bytes(1, 2)
	task.Done()
	d.Summary("1 of 2")
	d.Print("note")
	called := false
	d.Suspend(func() { called = true })
	d.Close()
	assert.True(t, called)
}

func TestConcurrentUse(t *testing.T) {
	var out bytes.Buffer
	d := progress.New(&out, progress.Options{Live: true, Size: size(80, 24)})
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 50 {
				task := d.Start(fmt.Sprint(n), "compile")
				task.Detail(fmt.Sprint(i))
				task.Bytes(int64(i), 50)
				d.Summary(fmt.Sprint(i))
				d.Print(fmt.Sprintf("%d of %d", i, n))
				task.Done()
			}
		})
	}
	all.Wait()
	d.Close()
	// On a slow machine there are frames in between.
	require.Len(t, regexp.MustCompile(`\d+ of \d+\n`).FindAllString(out.String(), -1), 400)
}
