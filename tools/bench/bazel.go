package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bazelRun runs Bazel in a workspace of the benchmark.
type bazelRun struct {
	w    *workDir
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
	return command{args: append(line, args...), dir: b.dir, gentle: true} // the server must be stopped too
}

// bazelCost is the cost of a build, in total and by kind of action.
type bazelCost struct {
	wall, cpu         time.Duration // cpu includes Bazel's children; 0 if unknown
	layers, manifests time.Duration // summed over actions; indexes count as manifests
	output            int64         // bytes of manifests, indexes and layouts on disk, without links to layers
}

// prepare builds for the first time, including tools, with the caches in rc files.
func (b bazelRun) prepare(ctx context.Context, s subject) error {
	_, err := b.w.output(ctx, b.command("build", "--color=no", "--curses=no", "--noshow_progress", s.target()))
	return err
}

// build builds a target of a subject. It returns the actions only if logged is set.
func (b bazelRun) build(ctx context.Context, s subject, target string, logged bool) (bazelCost, actions, error) {
	log := b.w.path("actions.json")
	if err := os.RemoveAll(log); err != nil {
		return bazelCost{}, nil, err
	}
	args := []string{"--disk_cache=", "--color=no", "--curses=no", "--noshow_progress", target}
	if logged {
		args = append(args, "--execution_log_json_file="+log) // writing it takes time
	}
	server, err := b.server(ctx)
	if err != nil {
		return bazelCost{}, nil, err
	}
	before := familyTime(server)
	total, err := b.w.measure(ctx, []command{b.command("build", args...)})
	if err != nil {
		return bazelCost{}, nil, err
	}
	took := bazelCost{wall: total.wall}
	if after := familyTime(server); after > before {
		took.cpu = after - before + total.cpu
	}
	if !logged {
		return took, nil, nil
	}
	did := actions{} // without a log, no actions were run
	if f, err := os.Open(log); err == nil {
		defer f.Close()
		if did, err = readActions(f); err != nil {
			return took, nil, err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return took, nil, err
	}
	took.layers, took.manifests = did.time(s.layers), did.time(s.manifests)+did.time(s.indexes)
	return took, did, nil
}

// stored returns the bytes of the outputs of actions beside the layers.
func (b bazelRun) stored(ctx context.Context, s subject, did actions) (sum int64, err error) {
	root, err := b.w.output(ctx, b.command("info", "execution_root"))
	if err != nil {
		return 0, err
	}
	for _, mnemonic := range []string{s.manifests, s.indexes, s.layouts} {
		n, err := did.bytes(strings.TrimSpace(root), mnemonic, s.layers)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// server returns the process ID of Bazel's server.
func (b bazelRun) server(ctx context.Context) (pid int, err error) {
	out, err := b.w.output(ctx, b.command("info", "server_pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

// bazelPhases are the changes between two builds.
var bazelPhases = []string{"every program changed", "then ready to push", "one service changed", "nothing changed"}

// compareBazel measures the rules of multiarch and others in turn, in the same workspace, and prints a table. Programs
// and tools are built already, so that it measures only the images.
func compareBazel(ctx context.Context, w *workDir, s settings, stdout io.Writer) (err error) {
	if _, err := exec.LookPath("bazel"); err != nil {
		return usagef("-bazel: bazel is not on PATH; see https://github.com/bazelbuild/bazelisk")
	}
	checkout, err := w.output(
		ctx,
		command{args: []string{"go", "list", "-m", "-f", "{{.Dir}}", "github.com/multiarch-build/multiarch"}},
	)
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
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	all, err := b.contestants(ctx, data)
	if err != nil {
		return err
	}
	measured := map[string][]bazelCost{}
	for round := range s.rounds {
		first := map[string]actions{} // of each subject, when every program has changed
		for n, phase := range bazelPhases {
			w.logf("%s: round %d of %d", phase, round+1, s.rounds)
			switch n {
			case 0:
				err = data.change(fmt.Sprintf("round %d", round), data.services...)
			case 2:
				err = data.change(fmt.Sprintf("round %d, one", round), data.services[len(data.services)/2])
			}
			if err != nil {
				return fmt.Errorf("changing programs: %w", err)
			}
			for turn := range all {
				sub := all[(round+turn)%len(all)] // rotate the order, because the first one pays for shared work
				target := sub.target()
				if n == 1 {
					target = sub.ready()
				}
				took, did, err := b.build(ctx, sub, target, n <= 1)
				if err != nil {
					return err
				}
				switch n {
				case 0:
					first[sub.name] = did
					err = did.check(sub, len(data.services), len(s.platforms))
				case 1:
					maps.Copy(did, first[sub.name]) // adds the actions that did not run again
				}
				if err == nil && n <= 1 {
					took.output, err = b.stored(ctx, sub, did)
				}
				if err != nil {
					return err
				}
				measured[phase+sub.name] = append(measured[phase+sub.name], took)
			}
		}
	}
	about, err := circumstances(ctx, w, s)
	if err != nil {
		return err
	}
	about, _, _ = strings.Cut(about, "\n")
	_, err = fmt.Fprintf(
		stdout,
		"%s\n%d services for %d platforms (%s), programs of %.1f MB that are there already. "+
			"multiarch makes layers of them; the others get finished ones (tar, gzip). "+
			"Sums over actions are of their own time, as Bazel logs it.\n%s\n",
		bazelTable(
			all,
			measured,
		),
		len(data.services),
		len(s.platforms),
		strings.Join(s.platforms, ", "),
		float64(programSize)/1e6,
		about,
	)
	return err
}

// contestants builds everything once, including tools, and returns the available subjects, starting with multiarch. It
// prints a message for each subject that is not available.
func (b bazelRun) contestants(ctx context.Context, data *bazelTree) ([]subject, error) {
	all := subjects()
	b.w.logf("building with %s for the first time", all[0].name)
	err := b.prepare(ctx, all[0])
	for _, rival := range subjects()[1:] {
		// A module that does not resolve fails all builds.
		if err == nil || ctx.Err() != nil || rival.dep == "" {
			continue
		}
		all = without(all, rival.name)
		if moduleErr := data.module(all); moduleErr != nil {
			return nil, moduleErr
		}
		reason := err
		if err = b.prepare(ctx, all[0]); err == nil {
			b.w.logf("skipping %s: %s", rival.name, bazelReason(reason))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: make a module registry reachable, or override modules in a file for -bazelrc", err)
	}
	for _, rival := range slices.Clone(all[1:]) {
		b.w.logf("building with %s for the first time", rival.name)
		if err := b.prepare(ctx, rival); ctx.Err() != nil {
			return nil, err
		} else if err != nil {
			b.w.logf("skipping %s: %s", rival.name, bazelReason(err))
			all = without(all, rival.name)
		}
	}
	return all, nil
}

// bazelReason returns the first error in Bazel's output. A Starlark traceback has it in the last line.
func bazelReason(err error) string {
	for line := range strings.Lines(err.Error()) {
		reason, found := strings.CutPrefix(line, "ERROR: ")
		if !found {
			reason, found = strings.CutPrefix(line, "Error: ")
		}
		if found && !strings.HasPrefix(reason, "Traceback") {
			return strings.TrimSpace(reason)
		}
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// close shuts Bazel down, even after an interrupt, because the server must not outlive its directory.
func (b bazelRun) close(ctx context.Context) error {
	if _, err := os.Stat(b.outs); errors.Is(err, os.ErrNotExist) {
		return nil // not started
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer stop()
	_, stopErr := b.w.output(ctx, b.command("shutdown"))
	// Bazel's outputs are read-only.
	return errors.Join(stopErr, exec.Command("chmod", "-R", "u+w", b.outs).Run())
}

func bazelTable(all []subject, measured map[string][]bazelCost) table {
	us, rivals := all[0], all[1:]
	t := table{header: []string{"", us.name}}
	for _, sub := range rivals {
		t.header = append(t.header, sub.name)
	}
	for _, sub := range rivals {
		t.header = append(t.header, sub.name+" / "+us.name)
	}
	row := func(name, phase string, quantity func(bazelCost) time.Duration) {
		cells, medians := []string{name}, []time.Duration{}
		for _, sub := range all {
			series := ofBazel(measured[phase+sub.name], quantity)
			cells, medians = append(cells, series.durations()), append(medians, series.median())
		}
		for _, rival := range medians[1:] {
			cells = append(cells, ratio(rival, medians[0]))
		}
		t.add(cells...)
	}
	for n, phase := range bazelPhases {
		row(phase, phase, func(c bazelCost) time.Duration { return c.wall })
		if ofBazel(measured[phase+us.name], func(c bazelCost) time.Duration { return c.cpu }).median() > 0 {
			row("- CPU time", phase, func(c bazelCost) time.Duration { return c.cpu })
		}
		if n > 1 {
			continue
		}
		if n == 0 {
			row("- actions of manifests and indexes, summed", phase, func(c bazelCost) time.Duration { return c.manifests })
			row("- actions of layers, summed", phase, func(c bazelCost) time.Duration { return c.layers })
		}
		cells := []string{"- output beside the layers"}
		for _, sub := range all {
			cells = append(cells, ofBazel(measured[phase+sub.name], func(c bazelCost) int64 { return c.output }).megabytes())
		}
		t.add(cells...)
	}
	return t
}
