package main

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// cost is the total cost of some commands.
type cost struct {
	wall time.Duration
	cpu  time.Duration // user and system time of the commands and their children
	peak int64         // peak resident set of the commands without children, in bytes; 0 if unknown
}

// measure runs commands one after another.
func (w *workDir) measure(ctx context.Context, commands []command) (cost, error) {
	var total cost
	settle()
	for _, c := range commands {
		cmd, stderr := w.prepare(ctx, c)
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			return total, c.explain(err, stderr)
		}
		peak := watch(cmd.Process.Pid)
		err := cmd.Wait()
		total.wall += time.Since(begin)
		total.peak = max(total.peak, peak())
		if err != nil {
			return total, c.explain(err, stderr)
		}
		total.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return total, nil
}

// series holds several measurements of a quantity.
type series[T ~int64] []T

// of returns the sorted series of a quantity.
func of[T ~int64](costs []cost, quantity func(cost) T) series[T] {
	var s series[T]
	for _, c := range costs {
		s = append(s, quantity(c))
	}
	slices.SortFunc(s, func(a, b T) int { return cmp.Compare(a, b) })
	return s
}

// median returns the median of a sorted series, or 0 for an empty one.
func (s series[T]) median() T {
	n := len(s)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return s[n/2]
	}
	return s[n/2-1] + (s[n/2]-s[n/2-1])/2
}
