package release

import (
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// FixedTags returns the images whose tags depend neither on git nor on the environment. Every release moves them.
func FixedTags(c *config.Config, p *plan.Plan) (names []string) {
	for _, i := range p.Images {
		checkout := &recordingCheckout{}
		vars := config.Vars{
			Image: i.Name, Registry: i.Push.Registry, Repository: i.Push.Repository, TagPrefix: c.TagPrefix(i.Name),
			Checkout: checkout,
		}
		depends := false
		for _, template := range i.Push.Tags {
			_, err := template.Tag(vars)
			depends = depends || err != nil // an environment variable is missing
		}
		if !depends && !checkout.used {
			names = append(names, i.Name)
		}
	}
	return names
}

// recordingCheckout is a git checkout that records whether a template uses it.
type recordingCheckout struct{ used bool }

func (c *recordingCheckout) Head() (config.Head, error) {
	c.used = true
	return config.Head{
		Commit: "1111111111111111111111111111111111111111",
		Branch: "main",
		Time:   "2001-01-01T00:00:00Z",
	}, nil
}

func (c *recordingCheckout) Tag(string) (string, error) {
	c.used = true
	return "v1.2.3", nil
}

func (c *recordingCheckout) Describe(string) (string, error) {
	c.used = true
	return "v1.2.3", nil
}

func (c *recordingCheckout) Dirty() (bool, error) {
	c.used = true
	return false, nil
}
