package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/internal/format"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// prebuiltRelease releases images built by Bazel. Settings that the rules do not have come from the multiarch.yaml in
// the workspace of bazel run: further repositories and mirrors, immutable tags, connection settings, smoke
// tests, and images that join existing ones.
func (a *app) prebuiltRelease(cmd *cobra.Command, s selection, o buildFlags, p pushFlags) (*release.Release, error) {
	built, err := release.ReadPrebuilt(p.prebuilt)
	if err != nil {
		return nil, err
	}
	registry, err := s.otherRegistry()
	if err != nil {
		return nil, err
	}
	targets, err := built.PushTargets(p.options(nil), registry)
	if err != nil {
		return nil, err
	}
	if err := p.checkTagged(targets); err != nil {
		return nil, err
	}
	there := *a
	if there.file == "" && built.Config != "" {
		there.file = filepath.Join(os.Getenv("BUILD_WORKSPACE_DIRECTORY"), filepath.FromSlash(built.Config))
	}
	if there.file == "" {
		if err := a.checkPrebuilt(cmd.Context(), o, nil, targets); err != nil {
			return nil, err
		}
		return release.NewHandwritten(targets, registry), nil
	}
	c, err := readConfig(there.file)
	if err != nil {
		return nil, err
	}
	if err := a.checkPrebuilt(cmd.Context(), o, c, targets); err != nil {
		return nil, err
	}
	r := &release.Release{Config: c, Registry: registry}
	for _, t := range targets {
		if all := len(c.Tags(t.Name)); p.tags == nil && len(t.Tags) < all {
			a.terminal.note("multiarch: %s: skipped %s", t.Name, format.Count(all-len(t.Tags), "empty tag"))
		}
		everywhere, err := release.Destinations(c, t, registry)
		if err != nil {
			return nil, err
		}
		r.Targets = append(r.Targets, everywhere...)
		if registry != "" {
			r.Redirected = append(r.Redirected, c.Redirect(t.Name, registry)...)
		}
	}
	if err := there.joinedBeside(cmd, s, o, p, r); err != nil {
		return nil, err
	}
	return r, nil
}

// checkPrebuilt verifies images built by Bazel, whose layers are all local. Without a cache it verifies every layer.
func (a *app) checkPrebuilt(ctx context.Context, o buildFlags, c *config.Config, targets []push.Target) error {
	if o.noVerify {
		return nil
	}
	cache, err := store()
	if err != nil {
		cache = nil
	}
	return a.newChecks(c, cache, true).verify(ctx, resultsOf(targets))
}

// joinedBeside adds the images that join existing ones, if Bazel has built all others.
func (a *app) joinedBeside(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, r *release.Release) error {
	var names []string
	for name, image := range r.Config.Images {
		if !image.From.IsZero() {
			names = append(names, name)
		} else if !slices.ContainsFunc(r.Targets, func(t push.Target) bool { return t.Name == name }) {
			return nil // only some of the images are released
		}
	}
	if len(names) == 0 {
		return nil
	}
	joined, err := a.buildRelease(cmd, selection{acceptBazel: true, registry: s.registry}, o, p, names)
	if err != nil {
		return err
	}
	r.Targets = append(r.Targets, joined.Targets...)
	r.Redirected = append(r.Redirected, joined.Redirected...)
	return nil
}
