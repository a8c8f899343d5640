package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// prebuilt is the file that the rule multiarch_push writes: what Bazel has built, and where it goes.
type prebuilt struct {
	// Config is the path of the multiarch.yaml that the targets come from, from the top of the workspace; "" where they
	// were written by hand, and are all that there is to say.
	Config  string `json:"config"`
	Targets []struct {
		Name       string `json:"name"`
		Repository string `json:"repository"`
		// Platform is set for one image of the index that has the same name.
		Platform string `json:"platform"`
		Layout   string `json:"layout"` // an OCI layout of the index; "" for one image
		Tags     string `json:"tags"`   // a file with a tag a line
	} `json:"targets"`
}

// readPrebuilt reads the file.
func readPrebuilt(name string) (*prebuilt, error) {
	content, err := inputfile.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading what was built: %w", err)
	}
	var file prebuilt
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return &file, nil
}

// targets finds the indexes and their destinations. Tags that were typed win over those of the files, in which empty ones
// are left out. Nothing needs a registry of its own if another one is given.
func (file *prebuilt) targets(p pushFlags, registry string) ([]push.Target, error) {
	var targets []push.Target
	for _, t := range file.Targets {
		tags := p.tags
		if tags == nil {
			lines, err := inputfile.ReadFile(t.Tags)
			if err != nil {
				return nil, fmt.Errorf("image %s: reading its tags: %w", t.Name, err)
			}
			tags = strings.Fields(string(lines))
		}
		if t.Repository == "" && registry == "" {
			return nil, usagef("give registry: in multiarch.yaml, and run multiarch generate", "image %s has no registry to go to", t.Name)
		}
		if t.Platform == "" {
			index, err := layout.ImageIndexFromPath(t.Layout)
			if err != nil {
				return nil, fmt.Errorf("image %s: reading its layout: %w", t.Name, err)
			}
			top, err := index.IndexManifest()
			if err != nil || len(top.Manifests) != 1 {
				return nil, fmt.Errorf("image %s: its layout is not of one index", t.Name)
			}
			one, err := index.ImageIndex(top.Manifests[0].Digest)
			if err != nil {
				return nil, fmt.Errorf("image %s: reading its layout: %w", t.Name, err)
			}
			targets = append(targets, push.Target{Name: t.Name, Index: one, Repository: t.Repository, Tags: tags, KeepPlatforms: p.keepPlatforms()})
			continue
		}
		platform, err := arch.Parse(t.Platform)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", t.Name, err)
		}
		of := slices.IndexFunc(targets, func(o push.Target) bool { return o.Name == t.Name })
		if of < 0 {
			return nil, fmt.Errorf("image %s, %s: the index it belongs to does not stand before it", t.Name, platform)
		}
		for _, tag := range tags {
			targets[of].PerPlatform = append(targets[of].PerPlatform, push.PlatformTag{Platform: platform, Reference: t.Repository + ":" + tag})
		}
	}
	return targets, p.tagged(targets)
}

// prebuiltRelease releases what Bazel has built. What the rules do not know comes from the multiarch.yaml of the tree in
// which bazel run was started: further repositories and mirrors, immutable tags, how registries are spoken to, smoke
// tests, and images that join existing ones.
func (a *app) prebuiltRelease(cmd *cobra.Command, s selection, o buildFlags, p pushFlags) (*release, error) {
	if err := o.checkMetadata(); err != nil {
		return nil, err
	}
	built, err := readPrebuilt(p.prebuilt)
	if err != nil {
		return nil, err
	}
	registry, err := s.otherRegistry()
	if err != nil {
		return nil, err
	}
	targets, err := built.targets(p, registry)
	if err != nil {
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
		return redirected(targets, registry), nil
	}
	c, err := readConfig(there.file)
	if err != nil {
		return nil, err
	}
	if err := a.checkPrebuilt(cmd.Context(), o, c, targets); err != nil {
		return nil, err
	}
	r := &release{hosts: hosts(c), config: c, registry: registry}
	for _, t := range targets {
		if all := len(c.Tags(t.Name)); p.tags == nil && len(t.Tags) < all {
			a.terminal.note("multiarch: %s: left out, being empty here: %d of its tags", t.Name, all-len(t.Tags))
		}
		everywhere, err := destinations(c, t, registry)
		if err != nil {
			return nil, err
		}
		r.targets = append(r.targets, everywhere...)
		if registry != "" {
			r.redirected = append(r.redirected, c.Redirect(t.Name, registry)...)
		}
	}
	if err := there.joinedBeside(cmd, s, o, p, r); err != nil {
		return nil, err
	}
	return r, nil
}

// checkPrebuilt verifies what Bazel has built, whose layers are all here. Without a cache it verifies all of it anew.
func (a *app) checkPrebuilt(ctx context.Context, o buildFlags, c *config.Config, targets []push.Target) error {
	if o.noVerify {
		return nil
	}
	var results []build.Result
	for _, t := range targets {
		results = append(results, build.Result{Name: t.Name, Index: t.Index})
	}
	cache, err := store()
	if err != nil {
		cache = nil
	}
	return a.newChecks(c, cache, true).verify(ctx, results)
}

// redirected is a release of targets that were written by hand, below another registry if one is given.
func redirected(targets []push.Target, registry string) *release {
	r := &release{targets: targets, registry: registry}
	if registry == "" {
		return r
	}
	for i := range targets {
		t := &targets[i]
		from := cmp.Or(t.Repository, t.Name)
		t.Repository = new(config.Config).Redirected(registry, from)
		r.redirected = append(r.redirected, config.Redirection{From: from, To: t.Repository})
		for n, one := range t.PerPlatform {
			t.PerPlatform[n].Reference = new(config.Config).Redirected(registry, one.Reference)
		}
	}
	return r
}

// joinedBeside adds the images that join existing ones, if Bazel has built all others.
func (a *app) joinedBeside(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, r *release) error {
	var names []string
	for name, image := range r.config.Images {
		if !image.From.IsZero() {
			names = append(names, name)
		} else if !slices.ContainsFunc(r.targets, func(t push.Target) bool { return t.Name == name }) {
			return nil // only some of the images are released
		}
	}
	if len(names) == 0 {
		return nil
	}
	project, targets, err := a.made(cmd, selection{elsewhere: true, registry: s.registry}, o, p, names)
	if err != nil {
		return err
	}
	r.targets = append(r.targets, targets...)
	r.redirected = append(r.redirected, project.redirected()...)
	return nil
}

// destinations publishes what Bazel builds for the first repository of an image in all of them, or in those that take
// their place below another registry.
func destinations(c *config.Config, t push.Target, registry string) ([]push.Target, error) {
	const again = "run: multiarch generate"
	image, known := c.Images[t.Name]
	if !known {
		return nil, usagef(again, "Bazel has built %s, which is not in multiarch.yaml any more", t.Name)
	}
	repositories := c.Repositories(t.Name, c.Registry)
	if t.Repository != "" && repositories[0] != t.Repository {
		return nil, usagef(again, "the targets of image %s are for %s, and multiarch.yaml says %s", t.Name, t.Repository, repositories[0])
	}
	if image.Push != nil {
		t.Immutable = image.Push.Immutable.Patterns()
	}
	within := c.Registry
	if registry != "" {
		within, repositories = registry, nil
		for _, r := range c.Redirect(t.Name, registry) {
			if !slices.Contains(repositories, r.To) {
				repositories = append(repositories, r.To)
			}
		}
	}
	var all []push.Target
	for n, repository := range repositories {
		if n == 0 && registry == "" {
			all = append(all, t)
			continue
		}
		further := t
		further.Repository, further.PerPlatform = repository, nil
		for _, i := range t.PerPlatform {
			if image.Push == nil || image.Push.PerPlatform == "" {
				return nil, usagef(again, "the targets of image %s have single images, and multiarch.yaml has none", t.Name)
			}
			row, _ := arch.Find(i.Platform)
			vars := config.Vars{Image: t.Name, Registry: c.RegistryOf(repository, within), Repository: repository, Platform: config.PlatformVarsOf(row)}
			own, err := image.Push.PerPlatform.Expand(vars)
			if err != nil {
				return nil, c.Errorf(config.Path{"images", t.Name, "push", "per_platform"}, "", "%w", err)
			}
			if own = c.Qualify(own, within); registry != "" {
				own = c.Redirected(registry, own)
			}
			tag := i.Reference[strings.LastIndex(i.Reference, ":"):]
			further.PerPlatform = append(further.PerPlatform, push.PlatformTag{Platform: i.Platform, Reference: own + tag})
		}
		all = append(all, further)
	}
	return all, nil
}
