package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// service is the Python service in images/multiarch.yaml, as planned by multiarch.
type service struct {
	name          string
	suite         string
	architectures []string // Debian architectures
	packages      []string // requested packages, without dependencies
}

// comparePackages compares an image index of Debian packages built by multiarch with one built by mmdebstrap, which
// unpacks the same packages without running maintainer scripts, and buildah. mmdebstrap resolves dependencies in every
// run and has no cache, so it is comparable only with `multiarch lock` and `multiarch build` together, with an empty
// cache. Ratios are relative to that row.
func comparePackages(ctx context.Context, w *workDir, s settings, stdout io.Writer) error {
	program, err := w.multiarch(ctx)
	if err != nil {
		return err
	}
	app, err := w.service(ctx, program)
	if err != nil {
		return err
	}
	cache, out := w.path("cache"), w.path("out")
	us := func(args ...string) []command {
		return []command{
			{
				args: append([]string{program, "-q"}, args...),
				env:  []string{"MULTIARCH_CACHE=" + cache, "MULTIARCH_DEBIAN_MIRROR=" + s.mirror},
			},
		}
	}
	build := us("build", app.name, "--output", out)
	lock := us("lock", "--update", "-f", w.path("lock", "multiarch.yaml"))
	peers, err := w.debootstrapped(app, s.mirror)
	if err != nil {
		return err
	}
	steps := []struct {
		title    string
		commands []command
		forget   []string
		layout   string // result whose platforms are counted, or ""
	}{
		{"multiarch lock and build, empty cache", slices.Concat(lock, build), []string{cache, out}, out + ":" + app.name},
		{"mmdebstrap and buildah", peers, []string{w.path("peer")}, w.path("peer", "out") + ":" + app.name},
		{"multiarch lock, empty cache", lock, []string{cache}, ""},
		{"multiarch build, empty cache", build, []string{cache, out}, out + ":" + app.name},
		{"multiarch build, packages cached", build, []string{filepath.Join(cache, "records"), out}, out + ":" + app.name},
		{"multiarch build, nothing changed", build, nil, ""},
	}
	costs := make([][]cost, len(steps))
	for round := range s.rounds {
		for i, step := range steps {
			w.logf("round %d of %d: %s", round+1, s.rounds, step.title)
			for _, dir := range step.forget {
				if err := os.RemoveAll(dir); err != nil {
					return fmt.Errorf("deleting caches and outputs: %w", err)
				}
			}
			if err := errors.Join(os.MkdirAll(w.path("peer"), 0o755),
				w.copy("images/multiarch.yaml", "lock/multiarch.yaml")); err != nil {
				return err
			}
			c, err := w.measure(ctx, step.commands)
			if err == nil && step.layout != "" {
				err = w.holds(ctx, program, step.layout, len(app.architectures))
			}
			if err != nil {
				return err
			}
			costs[i] = append(costs[i], c)
		}
	}
	results := table{
		header: []string{
			fmt.Sprintf("%s, %d architectures", app.name, len(app.architectures)),
			"time",
			"CPU time",
			"peak memory",
			"relative to lock and build",
		},
	}
	wall := func(i int) series[time.Duration] { return of(costs[i], func(c cost) time.Duration { return c.wall }) }
	for i, step := range steps {
		results.add(step.title, wall(i).durations(), of(costs[i], func(c cost) time.Duration { return c.cpu }).durations(),
			of(costs[i], func(c cost) int64 { return c.peak }).megabytes(), ratio(wall(i).median(), wall(0).median()))
	}
	about, err := circumstances(ctx, w, s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\n%s\n", results, about)
	return err
}

// service returns the first planned image with a base of Debian packages.
func (w *workDir) service(ctx context.Context, program string) (*service, error) {
	out, err := w.output(ctx, command{args: []string{program, "plan", "--json"}})
	if err != nil {
		return nil, err
	}
	var planned struct {
		Images []struct {
			Name     string
			Children []struct {
				Base struct {
					Name   string
					Debian *struct{ Suite, Architecture string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &planned); err != nil {
		return nil, fmt.Errorf("parsing the output of multiarch plan --json: %w", err)
	}
	content, err := os.ReadFile("images/multiarch.lock")
	if err != nil {
		return nil, fmt.Errorf("reading the lock file (run the benchmark in the root of the checkout): %w", err)
	}
	var locked struct {
		Bases map[string]struct{ Debian *struct{ Packages []string } }
	}
	if err := json.Unmarshal(content, &locked); err != nil {
		return nil, fmt.Errorf("reading images/multiarch.lock: %w", err)
	}
	for _, i := range planned.Images {
		app := &service{name: i.Name}
		for _, c := range i.Children {
			if d := c.Base.Debian; d != nil && locked.Bases[c.Base.Name].Debian != nil {
				app.suite, app.packages = d.Suite, locked.Bases[c.Base.Name].Debian.Packages
				app.architectures = append(app.architectures, d.Architecture)
			}
		}
		if len(app.architectures) > 0 {
			return app, nil
		}
	}
	return nil, errors.New("images/multiarch.yaml has no image with a base of Debian packages")
}

// debootstrapped returns the commands that build the same index with mmdebstrap and buildah: for each architecture, a
// tar archive of unpacked packages and an image of it and the service's files, and finally an index.
func (w *workDir) debootstrapped(app *service, mirror string) ([]command, error) {
	keys, err := filepath.Abs("tools/base/debian/keyring.gpg")
	if err != nil {
		return nil, err
	}
	// The names of architectures in buildah.
	goarch := map[string]string{"armhf": "arm", "armel": "arm", "i386": "386", "ppc64el": "ppc64le"}
	variants := map[string]string{"armhf": "v7", "armel": "v5"}
	var all []command
	store := func(args ...string) {
		all = append(
			all,
			command{
				args: append(
					[]string{
						"buildah",
						"--root",
						w.path("peer", "store"),
						"--runroot",
						w.path("peer", "run"),
						"--storage-driver",
						"vfs",
					},
					args...),
			},
		)
	}
	for _, a := range app.architectures {
		tar := w.path("peer", a+".tar")
		all = append(
			all,
			command{args: []string{"mmdebstrap", "--quiet", "--variant=extract", "--architectures=" + a, "--keyring=" + keys,
				"--include=" + strings.Join(app.packages, ","), app.suite, tar, mirror}},
		)
		word := a
		if other, ok := goarch[a]; ok {
			word = other
		}
		from := []string{"from", "--name", a, "--arch", word}
		if v := variants[a]; v != "" {
			from = append(from, "--variant", v)
		}
		store(append(from, "scratch")...)
		store("add", "-q", a, tar, "/")
		store("copy", "-q", a, "app/py-app", "/app")
		store("config", "--entrypoint", `["python3"]`, "--cmd", "main.py", "--workingdir", "/app", "--user", "65532", a)
		store("commit", "-q", "--rm", "--timestamp", "0", "--manifest", app.name, a)
	}
	store("manifest", "push", "-q", "--all", app.name, "oci:"+w.path("peer", "out")+":"+app.name)
	return all, nil
}

// holds returns an error if a layout does not have the expected number of platforms.
func (w *workDir) holds(ctx context.Context, program, layout string, platforms int) error {
	out, err := w.output(ctx, command{args: []string{program, "inspect", "oci:" + layout}})
	if err == nil && strings.Count(out, "\nlinux/") != platforms {
		err = fmt.Errorf("%s: expected %d platforms, got:\n%s", layout, platforms, out)
	}
	return err
}

func (w *workDir) copy(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(w.path(to)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(w.path(to), content, 0o644)
}
