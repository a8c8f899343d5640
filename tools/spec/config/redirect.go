package config

import (
	"cmp"
	"slices"
	"strings"
)

// Redirection says which repository takes the place of one of the configuration's when images are published in another
// registry.
type Redirection struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Redirect maps the repositories of an image, those on mirrors included, below another registry, in the order of
// Repositories. The other registry is laid out like a mirror: what stands behind the configuration's own registry, a
// mirror, or the host of a full reference stays. Where that would give repositories of two images one name, the host
// is kept as well.
func (c *Config) Redirect(image, registry string) []Redirection {
	var all []Redirection
	for _, from := range c.Repositories(image, c.Registry) {
		to := c.Below(registry, from)
		if host, rest, ok := strings.Cut(from, "/"); ok && alone(from) && c.taken(image, registry, from, to) {
			to = registry + "/" + hostPath(host) + "/" + rest
		}
		all = append(all, Redirection{from, to})
	}
	return all
}

// Below names the repository below a registry that takes the place of another one.
func (c *Config) Below(registry, repository string) string {
	for _, prefix := range c.prefixes(registry) {
		if rest, ok := strings.CutPrefix(repository, prefix+"/"); ok {
			return registry + "/" + rest
		}
	}
	if alone(repository) {
		_, repository, _ = strings.Cut(repository, "/")
	}
	return registry + "/" + repository
}

// Qualify puts a repository without a registry, such as one that a template names, below the registry of its image.
func (c *Config) Qualify(repository, registry string) string {
	if registry == "" || alone(repository) || slices.ContainsFunc(c.prefixes(registry), func(prefix string) bool {
		return strings.HasPrefix(repository, prefix+"/")
	}) {
		return repository
	}
	return registry + "/" + repository
}

// prefixes are the registries of the configuration and another one, the longest first: one may be below another.
func (c *Config) prefixes(registry string) []string {
	all := append([]string{registry, c.Registry}, c.Mirrors...)
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// taken tells whether another repository of another image has that name below the registry.
func (c *Config) taken(image, registry, from, to string) bool {
	for other := range c.Images {
		if other == image {
			continue
		}
		for _, repository := range c.Repositories(other, c.Registry) {
			if repository != from && c.Below(registry, repository) == to {
				return true
			}
		}
	}
	return false
}

// hostPath writes a host, with its port, as a part of a repository's path.
func hostPath(host string) string {
	return strings.ToLower(strings.Trim(strings.NewReplacer("[", "", "]", "", ":", "-").Replace(host), "-"))
}
