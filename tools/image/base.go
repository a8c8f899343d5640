package image

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// on returns the config that s makes of the one of its base: what s says, and where it says nothing what the base says,
// as `docker build` does it. A new entrypoint drops the base's arguments, which were for another program.
func (s Settings) on(base v1.Config) v1.Config {
	c := *base.DeepCopy()
	if s.Entrypoint != nil {
		c.Entrypoint, c.Cmd = s.Entrypoint, nil
	}
	if s.Cmd != nil {
		c.Cmd = s.Cmd
	}
	c.Env = s.WithEnv(c.Env).Env
	replace(&c.User, s.User)
	replace(&c.WorkingDir, s.Workdir)
	replace(&c.StopSignal, s.StopSignal)
	c.ExposedPorts = merged(c.ExposedPorts, set(s.Ports))
	c.Volumes = merged(c.Volumes, set(s.Volumes))
	c.Labels = merged(c.Labels, s.Labels)
	// Build instructions of a Dockerfile are not for us, and neither is what depends on the machine.
	c.OnBuild, c.Image, c.Hostname, c.Domainname = nil, "", "", ""
	return c
}

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
func history(base *v1.ConfigFile, layers []Layer, created v1.Time) []v1.History {
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

// WithEnv returns s with the defaults of its base in front of its environment, those that it does not set itself.
func (s Settings) WithEnv(defaults []string) Settings {
	var env []string
	for _, d := range defaults {
		name, _, _ := strings.Cut(d, "=")
		if !slices.ContainsFunc(s.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			env = append(env, d)
		}
	}
	s.Env = append(env, s.Env...)
	return s
}
