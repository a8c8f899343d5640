package image

import (
	"encoding/json"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// on returns the config that s makes of the one of its base: what s sets, and what it does not set from the base, as
// `docker build` does it. A new entrypoint drops the base's arguments, which were for another program. defaults are the
// environment of a base that is no image. The second result are the fields that v1.Config does not have.
func (s Settings) on(p arch.Platform, base *BaseConfig, defaults []string) (v1.Config, map[string]json.RawMessage, error) {
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
		c.ArgsEscaped = false // it is about the base's command line, which was one for Windows already
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
	c.Healthcheck = nil // it is among the others
	if s.Healthcheck != nil {
		if others[healthcheckField], err = s.Healthcheck.on(others[healthcheckField]); err != nil {
			return c, nil, err
		}
	}
	// Build instructions of a Dockerfile are not for us, and neither is what depends on the machine.
	c.OnBuild, c.Image, c.Hostname, c.Domainname = nil, "", "", ""
	return c, others, nil
}

// Check tells whether an image with these settings can be assembled on a base, before its layers are made. env is the
// environment of a base that is no image.
func (s Settings) Check(p arch.Platform, base *BaseConfig, env []string) error {
	_, _, err := s.on(p, base, env)
	return err
}

// windows is the operating system on which names have no case and paths have drives.
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

// history is the history of an image: the base's own, then an entry for each layer above. A base whose history does not
// speak of each of its layers gets an entry a layer as well, since tools match the two by counting.
func history(base *BaseConfig, layers []Layer, created v1.Time) []v1.History {
	var all []v1.History
	under := 0
	if base != nil {
		under = len(base.RootFS.DiffIDs)
		full := len(slices.DeleteFunc(slices.Clone(base.History), func(h v1.History) bool { return h.EmptyLayer })) == under
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
