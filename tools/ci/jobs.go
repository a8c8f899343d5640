package ci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// The moments at which jobs run.
const (
	onRequest = "request" // for every proposed change
	onTag     = "tag"     // for a tag of a version
)

// job is what runs on one machine.
type job struct {
	ID     string
	Runner string // "" for any
	On     string
	Needs  []string
	Steps  []step
	// Writes is that it sends to registries, Releases that it is the one that moves tags.
	Writes, Releases bool
	// Part is that it is one of those that the release joins.
	Part bool
}

// step is a few lines of POSIX shell.
type step struct {
	Name  string
	Lines []string
	// Logins are those whose name and password the lines need.
	Logins []login
	// Run is that they need RUN, which no two runs of the pipeline share: two tags of one commit are two versions.
	Run bool
}

// LogsIn is that there are logins to be forgotten afterwards.
func (j job) LogsIn() bool {
	return slices.ContainsFunc(j.Steps, func(s step) bool { return len(s.Logins) > 0 })
}

// login is where to log in, and the variables that say how.
type login struct{ Host, Username, Password string }

// runner is a machine that builds some platforms.
type runner struct {
	arch, label string
}

var errNoRunner = errors.New("a pipeline needs a runner")

// jobs are a preview of every proposed change and, for a version, a release: of one job, or of one for each runner and a
// last one.
func (o Options) jobs() ([]job, error) {
	runners := o.runners()
	if len(runners) == 0 {
		return nil, errNoRunner
	}
	first := runners[0]
	if !o.Split && o.Runners == nil && o.System != GitHub {
		first.label = ""
	}
	preview := job{ID: "preview", Runner: first.label, On: onRequest, Steps: append(append(o.prepare(), o.mayLogin()), o.preview())}
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
			all = append(all, job{ID: "build-" + r.arch, Runner: r.label, On: onTag, Part: true, Writes: true, Steps: append(o.prepare(), o.login(), build)})
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

// SplitError is returned where there is nothing to split.
type SplitError struct{ Arch string }

func (e *SplitError) Error() string {
	return fmt.Sprintf("all platforms would be built on the runner for %s: there is nothing to split", e.Arch)
}

// Hint says what to do about it.
func (e *SplitError) Hint() string {
	return "leave --split out, or name the runners of other architectures, such as --runner arm64=LABEL"
}

// runners are the machines: the one for amd64 first.
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

// building are the runners that build something now. Only these have jobs: what is added later is built by one of them.
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

// RunnerOf returns which of the runners, by their architectures, builds a platform: the one whose processor runs its
// programs, or else the first.
func RunnerOf(runners []string, p arch.Platform) string {
	native := map[string]string{"386": "amd64", "arm": "arm64"}
	for _, want := range []string{p.Architecture, native[p.Architecture]} {
		if slices.Contains(runners, want) {
			return want
		}
	}
	return runners[0]
}
