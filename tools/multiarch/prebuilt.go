package main

import (
	"context"
	"os"
	"path/filepath"

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
	built, err := release.ReadPrebuilt(p.prebuilt, a.locate)
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
		if there.file, err = a.workspaceFile(built.Config); err != nil {
			return nil, err
		}
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
	if !built.Joined {
		return r, nil
	}
	if err := there.addJoined(cmd, s, o, p, r); err != nil {
		return nil, err
	}
	return r, nil
}

// workspaceFile returns the path of a file of the workspace. Only bazel run passes the workspace's directory. Otherwise
// it is the closest parent of the working directory that is a workspace.
func (a *app) workspaceFile(file string) (string, error) {
	if dir := os.Getenv("BUILD_WORKSPACE_DIRECTORY"); dir != "" || a.locate == nil {
		return filepath.Join(dir, filepath.FromSlash(file)), nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, "MODULE.bazel")); err == nil && info.Mode().IsRegular() {
			return filepath.Join(dir, filepath.FromSlash(file)), nil
		}
		if dir == filepath.Dir(dir) {
			return "", usagef("run it in the workspace, or with -f "+file,
				"reading %s: %s is not in a Bazel workspace", file, here)
		}
	}
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

// addJoined adds the images that join existing ones.
func (a *app) addJoined(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, r *release.Release) error {
	var names []string
	for name, image := range r.Config.Images {
		if !image.From.IsZero() {
			names = append(names, name)
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
