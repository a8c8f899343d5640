package main

import "github.com/multiarch-build/multiarch/tools/spec/config"

// gitUse is a checkout that notes whether anything is asked of it.
type gitUse struct{ asked bool }

func (u *gitUse) Head() (config.Head, error) {
	u.asked = true
	return config.Head{Commit: "1111111111111111111111111111111111111111", Branch: "main", Time: "2001-01-01T00:00:00Z"}, nil
}

func (u *gitUse) Tag(string) (string, error) {
	u.asked = true
	return "v1.2.3", nil
}

func (u *gitUse) Describe(string) (string, error) {
	u.asked = true
	return "v1.2.3", nil
}

func (u *gitUse) Dirty() (bool, error) {
	u.asked = true
	return false, nil
}

// fixedTags returns the images whose tags depend neither on git nor on the environment.
func (p *project) fixedTags() (names []string) {
	for _, i := range p.plan.Images {
		use := &gitUse{}
		vars := config.Vars{Image: i.Name, Registry: i.Push.Registry, Repository: i.Push.Repository, TagPrefix: p.config.TagPrefix(i.Name), Checkout: use}
		depends := false
		for _, template := range i.Push.Tags {
			_, err := template.Tag(vars)
			depends = depends || err != nil // for want of a variable
		}
		if !depends && !use.asked {
			names = append(names, i.Name)
		}
	}
	return names
}
