package image

import (
	"encoding/json"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// on returns the config of an image with these settings on a base. Fields that s does not set are
// inherited, as in `docker build`. Setting the entrypoint discards the base's cmd, which belongs to
// another program. defaults is the environment of a base that is not an image. The second result
// holds the fields that v1.Config does not have.
func (s Settings) on(p arch.Platform, base *BaseConfig, defaults []string) (v1.Config, map[string]json.RawMessage,
	error) {
	var c v1.Config
	others := map[string]json.RawMessage{}
	if base != nil {
		c, others = *base.Config.DeepCopy(), base.more()
	}
	if s.Entrypoint != nil {
		c.Entrypoint, c.Cmd = s.Entrypoint, nil
	}
	if s.Cmd != nil {
		c.Cmd = s.Cmd
	}
	if s.Entrypoint != nil || s.Cmd != nil {
		c.ArgsEscaped = false // applies to the base's command line, which was already in Windows form
	}
	var err error
	under := environment{slices.Concat(defaults, c.Env), p.OS == windows}
	if c.Env, err = under.with(s.Env); err != nil {
		return c, nil, err
	}
	workdir, volumes := s.Workdir, slices.Clone(s.Volumes)
	if p.OS == windows {
		if workdir != "" {
			workdir = windowsPath(workdir)
		}
		for n := range volumes {
			volumes[n] = windowsPath(volumes[n])
		}
	}
	replace(&c.User, s.User)
	replace(&c.WorkingDir, workdir)
	replace(&c.StopSignal, s.StopSignal)
	c.ExposedPorts = merged(c.ExposedPorts, set(s.Ports))
	c.Volumes = merged(c.Volumes, set(volumes))
	c.Labels = merged(c.Labels, s.Labels)
	c.Healthcheck = nil // written with the other fields
	if s.Healthcheck != nil {
		if others[healthcheckField], err = s.Healthcheck.on(others[healthcheckField]); err != nil {
			return c, nil, err
		}
	}
	// Build instructions of a Dockerfile and machine-specific fields are not inherited.
	c.OnBuild, c.Image, c.Hostname, c.Domainname = nil, "", "", ""
	return c, others, nil
}

// Check validates settings against a base before any layer is built. env is the environment of a
// base that is not an image.
func (s Settings) Check(p arch.Platform, base *BaseConfig, env []string) error {
	_, _, err := s.on(p, base, env)
	return err
}

// windows is the operating system with case-insensitive variable names and drive letters.
const windows = "windows"

func replace(field *string, by string) {
	if by != "" {
		*field = by
	}
}

func merged[V any](under, over map[string]V) map[string]V {
	if len(under) == 0 {
		return over
	}
	all := maps.Clone(under)
	maps.Copy(all, over)
	return all
}

// history returns the history of an image: that of the base, then one entry per layer. If the
// base's history does not cover each of its layers, every base layer gets an entry instead, since
// tools match history and layers by counting.
func history(base *BaseConfig, layers []Layer, created v1.Time) []v1.History {
	var all []v1.History
	under := 0
	if base != nil {
		under = len(base.RootFS.DiffIDs)
		full := len(slices.DeleteFunc(slices.Clone(base.History),
			func(h v1.History) bool { return h.EmptyLayer })) == under
		if full {
			all = append(all, base.History...)
		} else {
			under = 0
		}
	}
	for _, l := range layers[under:] {
		all = append(all, v1.History{Created: created, CreatedBy: l.CreatedBy})
	}
	return all
}
