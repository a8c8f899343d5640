// Package release decides what a release publishes and where. It expands the targets of a plan (repositories, mirrors,
// tags, names of single platforms), checks them before anything is built, joins images that exist already, reads what
// Bazel has built, and describes a release for machines and people. It uploads nothing itself: package push does.
package release

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// Release is a set of built indexes with their destinations.
type Release struct {
	Targets []push.Target
	// Config is the configuration, nil for prebuilt targets that were written by hand.
	Config *config.Config
	// Registry replaces every registry of the configuration, as Redirected lists; "" if there is none.
	Registry   string
	Redirected []config.Redirection
}

// Hosts returns the connection settings of the registries in the configuration.
func (r *Release) Hosts() map[string]registry.Host {
	if r.Config == nil {
		return nil
	}
	return Hosts(r.Config)
}

// Hosts returns the connection settings of the registries in a configuration, by the host's name in references.
func Hosts(c *config.Config) map[string]registry.Host {
	all := map[string]registry.Host{}
	for host, r := range c.Registries {
		if full, err := name.NewRegistry(host); err == nil { // docker.io has another name in references
			all[full.RegistryStr()] = registry.Host{Insecure: r.Insecure, Jobs: r.Jobs}
		}
	}
	return all
}

// Redirected lists the repositories of a plan that another registry replaces.
func Redirected(p *plan.Plan) []config.Redirection {
	var all []config.Redirection
	for _, i := range p.Images {
		all = append(all, i.Push.Redirected...)
	}
	return all
}

// Fill returns the targets with their indexes, by image name. sources are the repositories that have blobs already.
func Fill(targets []push.Target, indexes map[string]v1.ImageIndex, sources map[v1.Hash]name.Repository) []push.Target {
	filled := slices.Clone(targets)
	for i := range filled {
		if index, ok := indexes[filled[i].Name]; ok {
			filled[i].Index, filled[i].Sources = index, sources
		}
	}
	return filled
}

// CheckConfined makes sure that nothing is published outside Registry, if that is set.
func (r *Release) CheckConfined() error {
	if r.Registry == "" {
		return nil
	}
	// A configuration may write one place in several ways: docker.io/onap/hello is onap/hello.
	place, err := name.NewRepository(r.Registry + "/image")
	if err != nil {
		return err
	}
	prefix := strings.TrimSuffix(place.Name(), "image")
	inside := func(reference string) error {
		ref, err := name.ParseReference(reference)
		if err != nil {
			return err
		}
		repository := ref.Context().Name()
		if !strings.HasPrefix(repository, prefix) || slices.Contains(strings.Split(repository, "/"), "..") {
			return fmt.Errorf("refusing to publish %s outside %s", reference, r.Registry)
		}
		return nil
	}
	for _, t := range r.Targets {
		if err := inside(t.Repository); err != nil {
			return fmt.Errorf("image %s: %w", t.Name, err)
		}
		for _, one := range t.PerPlatform {
			if err := inside(one.Reference); err != nil {
				return fmt.Errorf("image %s, %s: %w", t.Name, one.Platform, err)
			}
		}
	}
	return nil
}
