package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// redirected lists which repositories take the place of the configuration's.
func (p *project) redirected() []config.Redirection {
	var all []config.Redirection
	for _, i := range p.plan.Images {
		all = append(all, i.Push.Redirected...)
	}
	return all
}

// noteRedirected names the repositories in full that are not written, and what takes their place.
func (a *app) noteRedirected(all []config.Redirection) {
	const few = 8
	n := 0
	for _, r := range all {
		if !strings.Contains(r.From, "/") {
			continue
		}
		if n++; n <= few {
			a.terminal.note("multiarch: nothing is written to %s; it is %s now", r.From, r.To)
		}
	}
	if n > few {
		a.terminal.note("multiarch: nothing is written to %d other repositories; plan lists them", n-few)
	}
}

// confined makes sure that nothing is published outside the registry that takes the place of the configuration's.
func confined(registry string, targets []push.Target) error {
	if registry == "" {
		return nil
	}
	// What is read from a configuration may be written in several ways: docker.io/onap/hello is onap/hello.
	place, err := name.NewRepository(registry + "/image")
	if err != nil {
		return err
	}
	below := strings.TrimSuffix(place.Name(), "image")
	inside := func(reference string) error {
		ref, err := name.ParseReference(reference)
		if err != nil {
			return err
		}
		if repository := ref.Context().Name(); !strings.HasPrefix(repository, below) || slices.Contains(strings.Split(repository, "/"), "..") {
			return fmt.Errorf("refusing to publish %s outside %s", reference, registry)
		}
		return nil
	}
	for _, t := range targets {
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
