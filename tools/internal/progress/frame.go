package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// ANSI sequences for the styles of a frame.
const (
	reset = "\x1b[0m"
	bold  = "\x1b[1m"
	faint = "\x1b[2m"
	cyan  = "\x1b[36m"
)

// spinner has the characters of the spinner, which advances with every frame.
var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// frame lays out the lines of a live display. No line is wider than width, because a wrapped line cannot be erased.
type frame struct {
	width, height int
	color         bool
	now           time.Time
}

// lines returns a line per task, and the summary. If not all tasks fit the height, it counts the others.
func (f frame) lines(tasks []*Task, summary string, began time.Time) []string {
	room := max(f.height, 1)
	if summary != "" && room > 1 {
		room--
	} else {
		summary = ""
	}
	more := 0
	if len(tasks) > room {
		more = len(tasks) - max(room-1, 1)
		tasks = tasks[:len(tasks)-more]
	}
	var names, stages int
	for _, t := range tasks {
		names = max(names, runewidth.StringWidth(t.name))
		stages = max(stages, runewidth.StringWidth(t.stage))
	}
	names = min(names, f.width*2/5) // the rest of the line shows the stage and its detail
	spin := string(spinner[int(f.now.Sub(began)/tick)%len(spinner)])
	var lines []string
	for _, t := range tasks {
		lines = append(lines, f.line(
			span{spin + " ", cyan},
			span{pad(t.name, names) + "  ", ""},
			span{pad(t.stage, stages) + "  ", bold},
			span{fmt.Sprintf("%5s  ", elapsed(f.now.Sub(t.started))), ""},
			span{t.detail, faint},
		))
	}
	if more > 0 && room > 1 {
		lines = append(lines, f.line(span{fmt.Sprintf("  and %d more", more), faint}))
	}
	if summary != "" {
		lines = append(lines, f.line(span{fmt.Sprintf("  %s, %s", summary, elapsed(f.now.Sub(began))), faint}))
	}
	return lines
}

// span is a text with a color.
type span struct{ text, color string }

// line joins spans and truncates the result to the width.
func (f frame) line(spans ...span) string {
	var plain string
	for _, s := range spans {
		plain += s.text
	}
	plain = strings.TrimRight(plain, " ")
	if runewidth.StringWidth(plain) > f.width {
		plain = runewidth.Truncate(plain, f.width, "…")
	}
	if !f.color {
		return plain
	}
	var line strings.Builder
	for _, s := range spans {
		text := s.text[:min(len(s.text), len(plain))]
		if !strings.HasPrefix(plain, text) {
			text = plain // the last span, which was truncated
		}
		plain = plain[len(text):]
		if s.color == "" || text == "" {
			line.WriteString(text)
			continue
		}
		line.WriteString(s.color + text + reset)
	}
	return line.String()
}

func pad(text string, width int) string {
	if runewidth.StringWidth(text) > width {
		text = runewidth.Truncate(text, width, "…")
	}
	return runewidth.FillRight(text, width)
}

// heartbeat describes running tasks in one line.
func heartbeat(tasks []*Task, summary string, now time.Time) string {
	const limit = 4
	var parts []string
	for _, t := range tasks[:min(len(tasks), limit)] {
		part := fmt.Sprintf("%s: %s %s", t.name, t.stage, elapsed(now.Sub(t.started)))
		if t.detail != "" {
			part += " (" + t.detail + ")"
		}
		parts = append(parts, part)
	}
	if more := len(tasks) - limit; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	if summary != "" {
		parts = append(parts, summary)
	}
	return "still running: " + strings.Join(parts, "; ")
}

// elapsed formats a duration in minutes and seconds.
func elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// printable replaces line breaks and other control characters, which would break the display.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
