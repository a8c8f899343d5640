package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/publish"
)

// prebuilt is the file that the rule multiarch_push writes: what Bazel has built, and where it goes.
type prebuilt struct {
	Targets []struct {
		Name       string `json:"name"`
		Repository string `json:"repository"`
		// Platform is set for one image of the index that has the same name.
		Platform string `json:"platform"`
		Layout   string `json:"layout"` // an OCI layout of the index; "" for one image
		Tags     string `json:"tags"`   // a file with a tag a line
	} `json:"targets"`
}

// readPrebuilt finds the indexes and their destinations. Tags that were typed win over those of the files.
func readPrebuilt(p pushFlags) ([]publish.Target, error) {
	content, err := os.ReadFile(p.prebuilt)
	if err != nil {
		return nil, fmt.Errorf("reading what was built: %w", err)
	}
	var file prebuilt
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", p.prebuilt, err)
	}
	var targets []publish.Target
	for _, t := range file.Targets {
		tags := p.tags
		if tags == nil {
			lines, err := os.ReadFile(t.Tags)
			if err != nil {
				return nil, fmt.Errorf("image %s: reading its tags: %w", t.Name, err)
			}
			tags = strings.Fields(string(lines))
		}
		if t.Repository == "" {
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
			targets = append(targets, publish.Target{Name: t.Name, Index: one, Repository: t.Repository, Tags: tags})
			continue
		}
		platform, err := arch.Parse(t.Platform)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", t.Name, err)
		}
		of := slices.IndexFunc(targets, func(o publish.Target) bool { return o.Name == t.Name })
		if of < 0 {
			return nil, fmt.Errorf("image %s, %s: the index it belongs to does not stand before it", t.Name, platform)
		}
		for _, tag := range tags {
			targets[of].PerPlatform = append(targets[of].PerPlatform, publish.Intermediate{Platform: platform, Reference: t.Repository + ":" + tag})
		}
	}
	return targets, nil
}
