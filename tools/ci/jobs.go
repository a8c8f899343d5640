package ci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// Events that start jobs.
const (
	onRequest = "request" // a proposed change
	onTag     = "tag"     // a version tag
)

// job is a job of a pipeline, which runs on one machine.
type job struct {
	ID     string
	Runner string // "" for any
	On     string
	Needs  []string
	Steps  []step
	// Writes reports whether the job pushes to registries, and Releases whether it moves tags.
	Writes, Releases bool
	// Part reports whether the release joins the result of the job.
	Part bool
}

// step is a script of POSIX shell.
type step struct {
	Name  string
	Lines []string
	// Logins are the logins whose credentials the script needs.
	Logins []login
	// Run reports whether the script needs RUN, which is unique per run, because two tags of a commit are two versions.
	Run bool
}

// LogsIn reports whether the job has logins to remove at the end.
func (j job) LogsIn() bool {
	return slices.ContainsFunc(j.Steps, func(s step) bool { return len(s.Logins) > 0 })
}

// login is a registry host and the names of the variables with its credentials.
type login struct{ Host, Username, Password string }

// runner is a kind of machine that builds some of the platforms.
type runner struct {
	arch, label string
}

var errNoRunner = errors.New("a runner is required")

// jobs returns a preview job for proposed changes, and the jobs of a release: a single job, or one job per runner and a
// final one.
func (o Options) jobs() ([]job, error) {
	runners := o.runners()
	if len(runners) == 0 {
		return nil, errNoRunner
	}
	first := runners[0]
	if !o.Split && o.Runners == nil && o.System != GitHub {
		first.label = ""
	}
	preview := job{
		ID:     "preview",
		Runner: first.label,
		On:     onRequest,
		Steps:  append(append(o.prepare(), o.loginIfPossible()), o.preview()),
	}
	var all []job
	if !o.Split {
		release := job{ID: "release", Runner: first.label, On: onTag, Writes: true, Releases: true,
			Steps: append(o.prepare(), o.login(), o.release())}
		all = []job{preview, release}
	} else {
		all = []job{preview}
		var parts []string
		building := o.building(runners)
		for _, r := range building {
			build := o.build(building, r)
			parts = append(parts, "ci-$RUN-"+r.arch)
			all = append(all, job{
				ID:     "build-" + r.arch,
				Runner: r.label,
				On:     onTag,
				Part:   true,
				Writes: true,
				Steps:  append(o.prepare(), o.login(), build),
			})
		}
		if len(parts) < 2 {
			return nil, &SplitError{runners[0].arch}
		}
		last := job{ID: "release", Runner: first.label, On: onTag, Writes: true, Releases: true, Steps: o.join(parts)}
		for _, j := range all[1:] {
			last.Needs = append(last.Needs, j.ID)
		}
		all = append(all, last)
	}
	for i := range all {
		all[i].Steps = slices.DeleteFunc(all[i].Steps, func(s step) bool { return len(s.Lines) == 0 })
	}
	return all, nil
}

// SplitError reports that a single runner would build all platforms although Split is set.
type SplitError struct{ Arch string }

func (e *SplitError) Error() string {
	return fmt.Sprintf("cannot split the pipeline: the runner for %s builds all platforms", e.Arch)
}

// Hint returns how to fix the error.
func (e *SplitError) Hint() string {
	return "remove --split, or set runners for other architectures, such as --runner arm64=LABEL"
}

// runners returns the runners in order, starting with the one for amd64.
func (o Options) runners() []runner {
	labels := o.Runners
	if len(labels) == 0 {
		labels = map[System]map[string]string{
			GitHub:  {"amd64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"},
			GitLab:  {"amd64": "saas-linux-small-amd64", "arm64": "saas-linux-small-arm64"},
			Jenkins: {"amd64": "linux && amd64", "arm64": "linux && arm64"},
		}[o.System]
	}
	var all []runner
	for a, label := range labels {
		all = append(all, runner{a, label})
	}
	slices.SortFunc(all, func(a, b runner) int {
		return strings.Compare(strings.TrimPrefix(a.arch, "amd64"), strings.TrimPrefix(b.arch, "amd64"))
	})
	return all
}

// building returns the runners that have platforms to build. Platforms added later are built by one of them.
func (o Options) building(runners []runner) []runner {
	var all []string
	for _, r := range runners {
		all = append(all, r.arch)
	}
	used := map[string]bool{}
	for _, i := range o.Images {
		for _, p := range i.Platforms {
			used[RunnerOf(all, p)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(runners), func(r runner) bool { return !used[r.arch] })
}

// RunnerOf returns the architecture of the runner that builds a platform: a runner that can execute the platform's
// programs, or the first one.
func RunnerOf(runners []string, p arch.Platform) string {
	native := map[string]string{"386": "amd64", "arm": "arm64"}
	for _, want := range []string{p.Architecture, native[p.Architecture]} {
		if slices.Contains(runners, want) {
			return want
		}
	}
	return runners[0]
}
