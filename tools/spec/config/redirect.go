package config

import (
	"cmp"
	"slices"
	"strings"
)

// Redirection maps a repository of the configuration to the one that replaces it when images are
// published to another registry.
type Redirection struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Redirect maps the repositories of an image, including those on mirrors, to another registry, in
// the order of Repositories. The other registry is laid out like a mirror: the path after the
// configuration's own registry, a mirror, or the host of a full reference is kept. If repositories
// of two images would collide, the host is kept as well.
func (c *Config) Redirect(image, registry string) []Redirection {
	var all []Redirection
	for _, from := range c.Repositories(image, c.Registry) {
		to := c.Redirected(registry, from)
		if host, rest, ok := strings.Cut(from, "/"); ok && hasRegistry(from) && c.taken(image, registry, from, to) {
			to = registry + "/" + hostPath(host) + "/" + rest
		}
		all = append(all, Redirection{from, to})
	}
	return all
}

// Redirected returns the name of a repository in a registry that replaces another one.
func (c *Config) Redirected(registry, repository string) string {
	for _, prefix := range c.prefixes(registry) {
		if rest, ok := strings.CutPrefix(repository, prefix+"/"); ok {
			return registry + "/" + rest
		}
	}
	if hasRegistry(repository) {
		_, repository, _ = strings.Cut(repository, "/")
	}
	return registry + "/" + repository
}

// Qualify prefixes a repository that has no registry, such as one named by a template, with the
// registry of its image.
func (c *Config) Qualify(repository, registry string) string {
	if registry == "" || hasRegistry(repository) || slices.ContainsFunc(c.prefixes(registry), func(prefix string) bool {
		return strings.HasPrefix(repository, prefix+"/")
	}) {
		return repository
	}
	return registry + "/" + repository
}

// prefixes returns the registries of the configuration and another one, longest first, since one
// may be a prefix of another.
func (c *Config) prefixes(registry string) []string {
	all := append([]string{registry, c.Registry}, c.Mirrors...)
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// taken reports whether a repository of another image already has that name in the registry.
func (c *Config) taken(image, registry, from, to string) bool {
	for other := range c.Images {
		if other == image {
			continue
		}
		for _, repository := range c.Repositories(other, c.Registry) {
			if repository != from && c.Redirected(registry, repository) == to {
				return true
			}
		}
	}
	return false
}

// hostPath converts a host and port to a path component of a repository.
func hostPath(host string) string {
	return strings.ToLower(strings.Trim(strings.NewReplacer("[", "", "]", "", ":", "-").Replace(host), "-"))
}
