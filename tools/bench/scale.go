package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// scale measures how time and memory of multiarch grow, for plans up to the given size and for builds.
func scale(ctx context.Context, w *workDir, s settings, stdout io.Writer) error {
	program, err := w.multiarch(ctx)
	if err != nil {
		return err
	}
	plans, err := scalePlans(ctx, w, s, program)
	if err != nil {
		return err
	}
	builds, err := scaleBuilds(ctx, w, s, program)
	if err != nil {
		return err
	}
	about, err := circumstances(ctx, w, s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\n%s\n%s\n", plans, builds, about)
	return err
}

// scalePlans measures plans of a tenth of the services and of all services.
func scalePlans(ctx context.Context, w *workDir, s settings, program string) (table, error) {
	results := table{header: []string{"services x platforms", "plan --json", "per image and platform", "peak memory"}}
	all, err := w.known(ctx, program)
	if err != nil {
		return results, err
	}
	if s.scale.platforms > len(all) {
		return results, usagef(
			"-scale: %d platforms requested, but multiarch supports %d Linux platforms",
			s.scale.platforms,
			len(all),
		)
	}
	for _, services := range []int{max(1, s.scale.services/10), s.scale.services} {
		n := size{services, s.scale.platforms}
		w.logf("planning %s", n)
		file := w.path("tmp", "multiarch.yaml")
		if err := os.WriteFile(file, []byte(manifest(n.services, all[:n.platforms])), 0o644); err != nil {
			return results, fmt.Errorf("writing a configuration: %w", err)
		}
		plan := command{args: []string{program, "plan", "--json", "-f", file}}
		var costs []cost
		for range s.rounds {
			c, err := w.measure(ctx, []command{plan})
			if err != nil {
				return results, err
			}
			costs = append(costs, c)
		}
		walls := of(costs, func(c cost) time.Duration { return c.wall })
		each := digits(float64(walls.median())/float64(time.Microsecond)/float64(n.services*n.platforms)) + " µs"
		results.add(n.String(), walls.durations(), each, of(costs, func(c cost) int64 { return c.peak }).megabytes())
	}
	return results, nil
}

// scaleBuilds measures builds of an increasing number of services, with an empty and with a warm cache of multiarch.
func scaleBuilds(ctx context.Context, w *workDir, s settings, program string) (table, error) {
	results := table{
		header: []string{
			"services x platforms",
			"build, empty cache",
			"peak memory",
			"build, nothing changed",
			"peak memory",
		},
	}
	platforms, err := w.platforms(ctx, program, s.platforms)
	if err != nil {
		return results, err
	}
	for _, services := range []int{5, 10, 20} {
		n := size{services, len(platforms)}
		t, err := newTree(w.path(fmt.Sprint("src", services)), services, platforms)
		if err != nil {
			return results, err
		}
		goCache, err := w.warm(ctx, t)
		if err != nil {
			return results, err
		}
		us := w.us(program, t, goCache)
		var empty, again []cost
		for round := range s.rounds {
			w.logf("building %s: round %d of %d", n, round+1, s.rounds)
			if err := us.forget(); err != nil {
				return results, err
			}
			for _, costs := range []*[]cost{&empty, &again} {
				c, err := us.run(ctx, w)
				if err != nil {
					return results, err
				}
				*costs = append(*costs, c)
			}
		}
		row := []string{n.String()}
		for _, costs := range [][]cost{empty, again} {
			row = append(
				row,
				of(costs, func(c cost) time.Duration { return c.wall }).durations(),
				of(costs, func(c cost) int64 { return c.peak }).megabytes(),
			)
		}
		results.add(row...)
	}
	return results, nil
}
