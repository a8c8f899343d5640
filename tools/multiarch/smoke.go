package main

import (
	"context"
	"errors"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/run/smoke"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// smokeMode selects the images of a release that are smoke tested; "" means none.
type smokeMode string

const (
	smokeAll smokeMode = "all"
	// smokeExisting selects images that join existing ones, which no machine of a pipeline has built.
	smokeExisting smokeMode = "existing"
)

// Set reads the value of a flag.
func (m *smokeMode) Set(s string) error {
	switch s {
	case "true":
		*m = smokeAll
	case "false":
		*m = ""
	case string(smokeAll), string(smokeExisting):
		*m = smokeMode(s)
	default:
		return errors.New("want all or existing")
	}
	return nil
}

func (m *smokeMode) String() string { return string(*m) }

// Type names the values in help texts.
func (*smokeMode) Type() string { return "all|existing" }

// smoke runs the smoke test of every platform of a release and reports all failures. A platform that this machine
// cannot run fails, unless the configuration skips it. If needed is true, having no test at all is an error too.
func (a *app) smoke(ctx context.Context, r *release.Release, mode smokeMode, needed bool) error {
	if mode == "" {
		return nil
	}
	tests, err := r.SmokeTests(mode == smokeExisting, a.terminal.note)
	if err != nil {
		return err
	}
	var (
		group    errgroup.Group
		mu       sync.Mutex
		failures []error
		tester   smoke.Tester
	)
	group.SetLimit(runtime.NumCPU())
	progress := a.terminal.progress()
	defer progress.finish()
	for _, t := range tests {
		group.Go(func() error {
			defer progress.start(t.Name+" "+t.Image, "smoke test").Done()
			img, err := t.Open()
			if err == nil {
				err = tester.Run(ctx, t.Image, img, t.Platform, checkOf(t.Config))
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
			} else {
				a.terminal.note("%s: %s passed its smoke test", t.Image, t.Name)
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	slices.SortFunc(failures, func(x, y error) int { return strings.Compare(x.Error(), y.Error()) })
	if len(tests) == 0 && needed && mode == smokeAll {
		return usagef("add one to multiarch.yaml, such as smoke: {args: [--version]}", "--smoke: no image has a smoke test")
	}
	return errors.Join(failures...)
}

// checkOf converts the smoke test of an image, whose patterns were checked before.
func checkOf(s config.Smoke) smoke.Check {
	pattern := func(p config.Pattern) *regexp.Regexp {
		if p == "" {
			return nil
		}
		return regexp.MustCompile("(?m)" + string(p))
	}
	c := smoke.Check{Args: s.Args, Exit: s.Exit, Stdout: pattern(s.Stdout), Timeout: time.Duration(s.Timeout)}
	for name, value := range s.Env {
		c.Env = append(c.Env, string(name)+"="+string(value))
	}
	slices.Sort(c.Env)
	if s.HTTP != nil {
		c.HTTP = &smoke.HTTP{Path: s.HTTP.Path, Port: s.HTTP.Port, Status: s.HTTP.Status, Body: pattern(s.HTTP.Body)}
	}
	return c
}
