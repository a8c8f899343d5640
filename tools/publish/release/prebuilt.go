package release

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// Prebuilt is the file that the rule multiarch_push writes: the indexes that Bazel has built, and their destinations.
type Prebuilt struct {
	// Config is the path of the multiarch.yaml that the targets come from, from the top of the workspace; "" for targets
	// that were written by hand.
	Config string `json:"config"`
	// Joined is whether to also release the images of the multiarch.yaml that join existing images.
	Joined  bool             `json:"joined"`
	Targets []PrebuiltTarget `json:"targets"`
}

// PrebuiltTarget is an index, or one image of it, and its destination.
type PrebuiltTarget struct {
	Name       string `json:"name"`
	Repository string `json:"repository"`
	// Platform is set for one image of the index of the same name.
	Platform string `json:"platform"`
	Layout   string `json:"layout"` // an OCI layout of the index; "" for one image
	Tags     string `json:"tags"`   // a file with one tag per line
}

// tags returns the tags of the file, unless others replace them.
func (t PrebuiltTarget) tags(others []string) ([]string, error) {
	if others != nil {
		return others, nil
	}
	lines, err := inputfile.ReadFile(t.Tags)
	if err != nil {
		return nil, fmt.Errorf("image %s: reading its tags: %w", t.Name, err)
	}
	return strings.Fields(string(lines)), nil
}

func (t PrebuiltTarget) index() (v1.ImageIndex, error) {
	index, err := layout.ImageIndexFromPath(t.Layout)
	if err != nil {
		return nil, fmt.Errorf("image %s: reading its layout: %w", t.Name, err)
	}
	top, err := index.IndexManifest()
	if err != nil || len(top.Manifests) != 1 {
		return nil, fmt.Errorf("image %s: its layout must contain exactly one index", t.Name)
	}
	one, err := index.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		return nil, fmt.Errorf("image %s: reading its layout: %w", t.Name, err)
	}
	return one, nil
}

// Images returns the indexes, and their references by name. The references are those that a push would use; without a
// repository they start with the name. Other tags replace those of the files.
func (file *Prebuilt) Images(tags []string) ([]content.Image, map[string][]string, error) {
	var images []content.Image
	references := map[string][]string{}
	for _, t := range file.Targets {
		if t.Platform != "" {
			continue
		}
		index, err := t.index()
		if err != nil {
			return nil, nil, err
		}
		own, err := t.tags(tags)
		if err != nil {
			return nil, nil, err
		}
		images = append(images, content.Image{Name: t.Name, Index: index})
		for _, tag := range own {
			references[t.Name] = append(references[t.Name], cmp.Or(t.Repository, t.Name)+":"+tag)
		}
	}
	return images, references, nil
}

// ReadPrebuilt reads the file. If locate is not nil, it returns the paths of the files that the file names.
func ReadPrebuilt(name string, locate func(string) (string, error)) (*Prebuilt, error) {
	content, err := inputfile.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the prebuilt images: %w", err)
	}
	var file Prebuilt
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if locate == nil {
		return &file, nil
	}
	for i := range file.Targets {
		for _, path := range []*string{&file.Targets[i].Layout, &file.Targets[i].Tags} {
			if *path == "" {
				continue
			}
			if *path, err = locate(*path); err != nil {
				return nil, err
			}
		}
	}
	return &file, nil
}

// PushTargets returns the indexes with their destinations. The tags of the options replace those of the files, in which
// empty ones are left out already. Targets without a registry are an error, unless registry replaces it.
func (file *Prebuilt) PushTargets(o TagOptions, registry string) ([]push.Target, error) {
	var targets []push.Target
	for _, t := range file.Targets {
		tags, err := t.tags(o.Tags)
		if err != nil {
			return nil, err
		}
		if t.Repository == "" && registry == "" {
			return nil, fault.Usagef("set registry: in multiarch.yaml and run multiarch generate",
				"image %s: no registry configured", t.Name)
		}
		if t.Platform == "" {
			one, err := t.index()
			if err != nil {
				return nil, err
			}
			targets = append(targets, push.Target{
				Name:          t.Name,
				Index:         one,
				Repository:    t.Repository,
				Tags:          tags,
				KeepPlatforms: o.KeepPlatforms,
			})
			continue
		}
		platform, err := arch.Parse(t.Platform)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", t.Name, err)
		}
		of := slices.IndexFunc(targets, func(o push.Target) bool { return o.Name == t.Name })
		if of < 0 {
			return nil, fmt.Errorf("image %s, %s: its index must be listed first", t.Name, platform)
		}
		for _, tag := range tags {
			targets[of].PerPlatform = append(targets[of].PerPlatform, push.PlatformTag{
				Platform:  platform,
				Reference: t.Repository + ":" + tag,
			})
		}
	}
	return targets, nil
}

// NewHandwritten returns a release of targets that were written by hand. If registry is set, it replaces theirs.
func NewHandwritten(targets []push.Target, registry string) *Release {
	r := &Release{Targets: targets, Registry: registry}
	if registry == "" {
		return r
	}
	for i := range targets {
		t := &targets[i]
		from := cmp.Or(t.Repository, t.Name)
		t.Repository = new(config.Config).Redirected(registry, from)
		r.Redirected = append(r.Redirected, config.Redirection{From: from, To: t.Repository})
		for n, one := range t.PerPlatform {
			t.PerPlatform[n].Reference = new(config.Config).Redirected(registry, one.Reference)
		}
	}
	return r
}

// Destinations returns the targets in all repositories of an image that Bazel has built for the first of them. If
// registry is set, they are below it.
func Destinations(c *config.Config, t push.Target, registry string) ([]push.Target, error) {
	const again = "run: multiarch generate"
	image, known := c.Images[t.Name]
	if !known {
		return nil, fault.Usagef(again, "image %s: built by Bazel, but not in multiarch.yaml", t.Name)
	}
	repositories := c.Repositories(t.Name, c.Registry)
	if t.Repository != "" && repositories[0] != t.Repository {
		return nil, fault.Usagef(again, "image %s: the generated targets push to %s, but multiarch.yaml configures %s",
			t.Name, t.Repository, repositories[0])
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
				return nil, fault.Usagef(again, "image %s: the generated targets set per_platform, but multiarch.yaml does not",
					t.Name)
			}
			row, _ := arch.Find(i.Platform)
			vars := config.Vars{
				Image:      t.Name,
				Registry:   c.RegistryOf(repository, within),
				Repository: repository,
				Platform:   config.PlatformVarsOf(row),
			}
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
