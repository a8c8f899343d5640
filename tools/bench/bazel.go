package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// subject are rules that make the same indexes of the same programs.
type subject struct {
	name string
	// layers and images are the mnemonics of the actions that make layers, or say what they are; and of those that make
	// manifests and indexes.
	layers, images []string
}

// subjects are we and rules_oci. What rules_oci gets are finished layers, as a rule of somebody else would make them.
func subjects() []subject {
	return []subject{
		{"multiarch", []string{"MultiarchLayer"}, []string{"MultiarchImage", "MultiarchIndex"}},
		{"rules_oci", []string{"OCIDescriptor"}, []string{"OCIImage", "OCIIndex"}},
	}
}

// bazelRun is Bazel in a workspace of the bench.
type bazelRun struct {
	w    *workshop
	dir  string
	rcs  []string
	outs string
}

func (b bazelRun) command(verb string, args ...string) command {
	line := []string{"bazel"}
	for _, rc := range b.rcs {
		line = append(line, "--bazelrc="+rc)
	}
	line = append(line, "--output_user_root="+b.outs, "--max_idle_secs=60", verb)
	return command{args: append(line, args...), dir: b.dir}
}

// build makes all indexes of a subject, and returns how long that took and, where that is logged, what its actions did.
func (b bazelRun) build(ctx context.Context, s subject, logged bool) (time.Duration, actions, error) {
	log := b.w.path("actions.json")
	if err := os.RemoveAll(log); err != nil {
		return 0, nil, err
	}
	args := []string{"--disk_cache=", "--color=no", "--curses=no", "--noshow_progress", "//" + s.name + ":indexes"}
	if logged {
		args = append(args, "--execution_log_json_file="+log) // writing it takes its time
	}
	settle()
	begin := time.Now()
	_, err := b.w.output(ctx, b.command("build", args...))
	took := time.Since(begin)
	if err != nil || !logged {
		return took, nil, err
	}
	f, err := os.Open(log)
	if errors.Is(err, os.ErrNotExist) {
		return took, actions{}, nil // nothing was run
	}
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	did, err := readActions(f)
	return took, did, err
}

// bazelPhases are what happens between two builds.
var bazelPhases = []string{"every program changed", "one service changed", "nothing changed"}

// compareBazel measures our rules beside rules_oci's, in turn, in one workspace of one Bazel, and prints a table. The
// programs are there already: what is measured is what becomes of them.
func compareBazel(ctx context.Context, w *workshop, s settings, stdout io.Writer) (err error) {
	if _, err := exec.LookPath("bazel"); err != nil {
		return usagef("-bazel: there is no bazel on PATH; see https://github.com/bazelbuild/bazelisk")
	}
	checkout, err := w.output(ctx, command{args: []string{"go", "list", "-m", "-f", "{{.Dir}}", "github.com/multiarch-build/multiarch"}})
	if err != nil {
		return err
	}
	data, err := newBazelTree(ctx, w, s, strings.TrimSpace(checkout))
	if err != nil {
		return err
	}
	b := bazelRun{w: w, dir: data.dir, outs: w.path("bazel-out")}
	for _, rc := range s.bazelrcs {
		abs, err := filepath.Abs(rc)
		if err != nil {
			return err
		}
		b.rcs = append(b.rcs, abs)
	}
	defer func() {
		// It must not live longer than the folder, and neither is Bazel's output writable as it stands.
		_, stopErr := w.output(context.WithoutCancel(ctx), b.command("shutdown"))
		chmodErr := exec.Command("chmod", "-R", "u+w", b.outs).Run()
		err = errors.Join(err, stopErr, chmodErr)
	}()
	all := subjects()
	for _, sub := range all {
		w.say("building with %s for the first time", sub.name)
		if _, _, err := b.build(ctx, sub, false); err != nil {
			return fmt.Errorf("%w\nrules_oci has to resolve: by a registry, or by overrides in a file given with -bazelrc", err)
		}
	}
	measured := map[string][]bazelCost{}
	for round := range s.rounds {
		for n, phase := range bazelPhases {
			w.say("%s: round %d of %d", phase, round+1, s.rounds)
			switch n {
			case 0:
				err = data.change(fmt.Sprintf("round %d", round), data.services...)
			case 1:
				err = data.change(fmt.Sprintf("round %d, one", round), data.services[len(data.services)/2])
			}
			if err != nil {
				return fmt.Errorf("changing programs: %w", err)
			}
			for _, sub := range all {
				took, did, err := b.build(ctx, sub, n == 0)
				if err != nil {
					return err
				}
				if n == 0 && did.count(sub.images) != len(data.services)*(len(s.platforms)+1) {
					return fmt.Errorf("%s made %d manifests and indexes, and not %d", sub.name, did.count(sub.images), len(data.services)*(len(s.platforms)+1))
				}
				measured[phase+sub.name] = append(measured[phase+sub.name], bazelCost{took, did.time(sub.layers), did.time(sub.images), did.bytes(sub.images)})
			}
		}
	}
	about, err := circumstances(ctx, w, s)
	if err != nil {
		return err
	}
	about, _, _ = strings.Cut(about, "\n")
	_, err = fmt.Fprintf(stdout, "%s\n%d services for %d platforms (%s), programs of %s that are there already. multiarch makes layers of them; rules_oci gets finished ones (tar, gzip). Sums over actions are of their own time, as Bazel logs it.\n%s\n",
		bazelTable(all, measured), len(data.services), len(s.platforms), strings.Join(s.platforms, ", "), fmt.Sprintf("%.1f MB", float64(programSize)/1e6), about)
	return err
}

// bazelCost is what a build took: as a whole, and by the kind of action.
type bazelCost struct {
	wall           time.Duration
	layers, images time.Duration // summed over actions
	output         int64         // bytes that manifests and indexes are made of, with what stands in their folders
}

func bazelTable(all []subject, measured map[string][]bazelCost) table {
	t := table{header: []string{""}}
	for _, sub := range all {
		t.header = append(t.header, sub.name)
	}
	t.header = append(t.header, all[1].name+" / "+all[0].name)
	row := func(name, phase string, quantity func(bazelCost) time.Duration) {
		cells, medians := []string{name}, []time.Duration{}
		for _, sub := range all {
			series := ofBazel(measured[phase+sub.name], quantity)
			cells, medians = append(cells, series.durations()), append(medians, series.median())
		}
		t.add(append(cells, ratio(medians[1], medians[0]))...)
	}
	for n, phase := range bazelPhases {
		row(phase, phase, func(c bazelCost) time.Duration { return c.wall })
		if n > 0 {
			continue
		}
		row("- actions of manifests and indexes, summed", phase, func(c bazelCost) time.Duration { return c.images })
		row("- actions of layers, summed", phase, func(c bazelCost) time.Duration { return c.layers })
		cells := []string{"- output beside the layers"}
		for _, sub := range all {
			cells = append(cells, ofBazel(measured[phase+sub.name], func(c bazelCost) int64 { return c.output }).megabytes())
		}
		t.add(cells...)
	}
	return t
}
