package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// values expands the templates of labels or annotations of an image on a platform, or of its index
// if p is nil. If keep is set, the templates are returned unexpanded.
func (b *builder) values(n string, p *arch.Platform, field string, of map[config.Text]config.ValueTemplate,
	vars config.Vars, keep bool) map[string]string {
	if len(of) == 0 {
		return nil
	}
	all := make(map[string]string, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		value, err := string(of[key]), error(nil)
		if !keep {
			value, err = of[key].Expand(vars)
		}
		if err != nil {
			b.fail(b.c.ValuePath(n, p, field, string(key)), "", "%w", err)
		}
		all[string(key)] = value
	}
	return all
}

// env expands the templates of environment variables. References to the base's variables are
// resolved when the base is known.
func (b *builder) env(n string, p arch.Platform, of map[config.Name]config.ValueTemplate, vars config.Vars) []string {
	var all []string
	for name, template := range of {
		value, err := string(template), error(nil)
		if !b.opts.Bazel {
			value, err = template.ExpandEnv(vars)
		}
		if err != nil {
			b.fail(b.c.ValuePath(n, &p, "env", string(name)), "", "%w", err)
		}
		all = append(all, string(name)+"="+value)
	}
	slices.Sort(all)
	return all
}

// healthcheck resolves a health check, or returns nil to keep that of the base.
func (b *builder) healthcheck(at config.Path, base Base, s config.Settings) *image.Healthcheck {
	h := s.Healthcheck
	if h == nil {
		return nil
	}
	test := []string(h.Test)
	if h.Disable {
		test = []string{"NONE"}
	}
	switch {
	case len(test) == 0 && base.Image == nil:
		b.fail(append(at, "healthcheck"), "add test: [CMD, PROGRAM, ARGUMENT...]",
			"test is required: base %s has no health check", base.Name)
	case h.UsesShell() && base.Builtin != "" && s.Files == nil:
		b.fail(append(at, "healthcheck", "test"), "write [CMD, PROGRAM, ARGUMENT...], which needs no shell",
			"base %s has no shell", base.Name)
	}
	return &image.Healthcheck{
		Test: test, Interval: time.Duration(h.Interval), Timeout: time.Duration(h.Timeout),
		StartPeriod: time.Duration(h.StartPeriod), StartInterval: time.Duration(h.StartInterval), Retries: h.Retries,
	}
}

// environ returns the environment of the go command.
func environ(env map[config.Name]config.Text) []string {
	var list []string
	for k, v := range env {
		list = append(list, string(k)+"="+string(v))
	}
	slices.Sort(list)
	return list
}
