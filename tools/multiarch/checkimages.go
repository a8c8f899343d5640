package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// verifyFlag adds the flag that disables the checks of finished images.
func (o *buildFlags) verifyFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noVerify, "no-verify", false,
		"skip the checks of \"multiarch verify\" before writing or publishing")
}

// checks verifies finished images and reports the problems that multiarch.yaml does not allow.
type checks struct {
	terminal *terminal
	// config is nil for images that do not come from a multiarch.yaml.
	config *config.Config
	// whole is true if the images have all their platforms, so that an allow: entry without a match is useless.
	whole bool
	verify.Checks
}

// newChecks returns checks that remember verdicts in a store, unless it is nil.
func (a *app) newChecks(c *config.Config, store *cache.Store, whole bool) *checks {
	all := &checks{terminal: a.terminal, config: c, whole: whole}
	if store != nil {
		all.Memory = store
	}
	return all
}

// downloaded skips layers that are in a registry but not in the store, if the checks do not depend on them.
func (c *checks) downloaded(store *cache.Store, sources map[v1.Hash]name.Repository) {
	c.IsRemote = func(d v1.Descriptor) bool {
		_, remote := sources[d.Digest]
		return remote && !store.Has(d.Digest, d.Size)
	}
}

// verify checks finished images and returns all problems as *imageErrors.
func (c *checks) verify(ctx context.Context, results []build.Result) error {
	wrong := &imageErrors{}
	for _, r := range results {
		root, err := partial.Descriptor(r.Index)
		if err != nil {
			return fmt.Errorf("verifying %s: %w", r.Name, err)
		}
		verdict, err := c.Verify(ctx, &source.Source{Name: r.Name, Root: *root, Index: r.Index})
		if err != nil {
			return err
		}
		c.judge(r.Name, verdict, wrong)
	}
	if len(wrong.all) > 0 {
		return wrong
	}
	return nil
}

// judge adds the problems of an image to wrong, unless they are allowed.
func (c *checks) judge(image string, verdict *verify.Verdict, wrong *imageErrors) {
	permits := newPermits(c.config, image)
	var kept []verify.Problem
	for _, p := range verdict.Problems {
		if permits.take(p) {
			c.terminal.note("multiarch: %s: allowed: %s", image, p)
		} else {
			kept = append(kept, p)
		}
	}
	for _, group := range grouped(kept) {
		wrong.all = append(wrong.all, c.errorOf(image, group))
	}
	if !c.whole {
		return
	}
	for _, kind := range permits.unused() {
		c.terminal.note("multiarch: %s: allow: %s matches no problem; remove it", image, kind)
	}
}

// permits records which allowed kinds of problems an image has.
type permits struct {
	image config.Image
	used  map[finding.Kind]bool
}

func newPermits(c *config.Config, image string) permits {
	p := permits{used: map[finding.Kind]bool{}}
	if c != nil {
		p.image = c.Images[image]
	}
	return p
}

// take reports whether a problem is allowed.
func (p permits) take(problem verify.Problem) bool {
	allowed := p.image.Allow
	if platform, err := arch.Parse(problem.Child); err == nil {
		allowed = p.image.On(platform).Allow
	}
	if problem.Kind == "" || !slices.Contains(allowed, problem.Kind) {
		return false
	}
	p.used[problem.Kind] = true
	return true
}

// unused returns the allowed kinds without a problem.
func (p permits) unused() []finding.Kind {
	all := map[finding.Kind]bool{}
	for _, kind := range p.image.Allow {
		all[kind] = true
	}
	for _, over := range p.image.Overrides {
		for _, kind := range over.Allow {
			all[kind] = true
		}
	}
	maps.DeleteFunc(all, func(kind finding.Kind, _ bool) bool { return p.used[kind] })
	return slices.Sorted(maps.Keys(all))
}

// grouped groups problems that differ only in their platform.
func grouped(problems []verify.Problem) [][]verify.Problem {
	var groups [][]verify.Problem
	for _, p := range problems {
		n := slices.IndexFunc(groups, func(g []verify.Problem) bool {
			return g[0].Kind == p.Kind && g[0].File == p.File && g[0].Text == p.Text
		})
		if n < 0 {
			groups = append(groups, []verify.Problem{p})
			continue
		}
		groups[n] = append(groups[n], p)
	}
	return groups
}

// errorOf returns the error for a group of problems.
func (c *checks) errorOf(image string, group []verify.Problem) error {
	first := group[0]
	text := first.String()
	if len(group) > 1 {
		var platforms []string
		for _, p := range group {
			platforms = append(platforms, p.Child)
		}
		first.Child, first.Layer = strings.Join(platforms, ", "), 0
		text = first.String()
	}
	hint := ""
	if first.Kind != "" {
		hint = fmt.Sprintf("correct it, or permit it for this image with allow: [%s]", first.Kind)
	}
	if c.config == nil {
		return &hinted{fmt.Errorf("image %s: %s", image, text), hint}
	}
	at := config.Path{"images", image}
	if field, ok := fields[first.Kind]; ok {
		at = append(at, field)
	}
	return c.config.Errorf(at, hint, "%s", text)
}

// fields maps kinds of problems to the field that causes them.
var fields = map[finding.Kind]string{
	finding.MissingEntrypoint: "entrypoint",
	finding.InvalidEntrypoint: "entrypoint",
	finding.UnknownUser:       "user",
	finding.MissingWorkdir:    "workdir",
}

// hinted is an error with a hint.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// Hint returns the next step.
func (e *hinted) Hint() string { return e.hint }

// imageErrors holds the problems of finished images. It is never empty.
type imageErrors struct{ all []error }

func (e *imageErrors) Error() string {
	var lines []string
	for _, err := range e.all {
		lines = append(lines, err.Error())
		if hint := fault.HintOf(err); hint != "" {
			lines = append(lines, "hint: "+hint)
		}
	}
	return cmp.Or(strings.Join(lines, "\n"), "an image failed its checks")
}
