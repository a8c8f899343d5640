package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// table is a Markdown table.
type table struct {
	header []string
	rows   [][]string
}

// add adds a row. Missing cells at its end stay empty.
func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// scenario adds the rows of a scenario. costs are those of multiarch, go build, ko, and ko with its cache.
func (t *table) scenario(name string, costs [][]cost) {
	wall, cpu, peak := []string{name}, []string{"- CPU time"}, []string{"- peak memory"}
	var medians []time.Duration
	for _, c := range costs {
		walls := of(c, func(c cost) time.Duration { return c.wall })
		medians = append(medians, walls.median())
		wall = append(wall, walls.durations())
		cpu = append(cpu, of(c, func(c cost) time.Duration { return c.cpu }).durations())
		peak = append(peak, of(c, func(c cost) int64 { return c.peak }).megabytes())
	}
	us, bare, ko, cached := medians[0], medians[1], medians[2], medians[3]
	t.add(append(wall, ratio(ko, us), ratio(cached, us), ratio(us, bare))...)
	t.add(cpu...)
	t.add(peak...)
}

// String formats the table with aligned columns.
func (t table) String() string {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		for i, width := range widths {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			fmt.Fprintf(&b, "| %-*s ", width, cell)
		}
		b.WriteString("|\n")
	}
	line(t.header)
	for _, width := range widths {
		b.WriteString("|" + strings.Repeat("-", width+2))
	}
	b.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// durations formats median, minimum and maximum in the unit that suits the median.
func (s series[T]) durations() string {
	unit, name := time.Millisecond, "ms"
	if time.Duration(s.median()) >= time.Second {
		unit, name = time.Second, "s"
	}
	return s.spread(float64(unit), name)
}

// megabytes formats a series of bytes. A megabyte is a million bytes.
func (s series[T]) megabytes() string {
	if s.median() == 0 {
		return "unknown"
	}
	return s.spread(1e6, "MB")
}

func (s series[T]) spread(unit float64, name string) string {
	if len(s) == 0 {
		return ""
	}
	return fmt.Sprintf(
		"%s %s (%s..%s)",
		digits(float64(s.median())/unit),
		name,
		digits(float64(s[0])/unit),
		digits(float64(s[len(s)-1])/unit),
	)
}

// digits formats a number with three significant digits, or with all digits before the decimal point.
func digits(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// ratio formats a divided by b, or "" if b is zero.
func ratio(a, b time.Duration) string {
	if b == 0 {
		return ""
	}
	return digits(float64(a) / float64(b))
}
