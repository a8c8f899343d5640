package config

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

// Registry configures access to one registry.
type Registry struct {
	Insecure bool `yaml:"insecure,omitempty"`
	Jobs     int  `yaml:"jobs,omitempty" jsonschema:"minimum=1,maximum=256"`
}

// Repositories lists the repositories of an image.
type Repositories []string

// Immutable selects the tags that are never moved: all, or those matching a pattern.
type Immutable struct {
	All  bool
	Tags []string // path.Match patterns
}

// Patterns returns the patterns of immutable tags, or nil if there are none.
func (i Immutable) Patterns() []string {
	if i.All {
		return []string{"*"}
	}
	return i.Tags
}

// Smoke defines how an image is tested before any tag moves. Its program runs with Args and must
// exit with Exit and print output that matches Stdout, or it keeps running and must answer as HTTP
// specifies.
type Smoke struct {
	Args    []string        `yaml:"args,omitempty"`
	Env     map[Name]Text   `yaml:"env,omitempty"`
	Exit    int             `yaml:"exit,omitempty" jsonschema:"minimum=0,maximum=255"`
	Stdout  Pattern         `yaml:"stdout,omitempty"`
	Timeout Duration        `yaml:"timeout,omitempty"`
	Skip    []arch.Platform `yaml:"skip,omitempty"`
	HTTP    *SmokeHTTP      `yaml:"http,omitempty"`
}

// SmokeHTTP is a request to the running program and the expected response.
type SmokeHTTP struct {
	Path   string  `yaml:"path,omitempty"`
	Port   int     `yaml:"port" jsonschema:"minimum=1,maximum=65535"`
	Status int     `yaml:"status,omitempty" jsonschema:"minimum=100,maximum=599"`
	Body   Pattern `yaml:"body,omitempty"`
}

// Pattern is a regular expression in the syntax of Go's regexp.
type Pattern string

// UnmarshalText parses a regular expression.
func (p *Pattern) UnmarshalText(text []byte) error {
	if _, err := regexp.Compile(string(text)); err != nil {
		return hinted(fmt.Errorf("invalid regular expression %q: %w", text, err),
			`escape each literal . + * ? ( ) [ ] { } | ^ $ with \`)
	}
	*p = Pattern(text)
	return nil
}

// Duration is a positive duration.
type Duration time.Duration

// UnmarshalText reads what Go's time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed <= 0 {
		return hinted(fmt.Errorf("invalid duration %q", text), "write a number and a unit, such as 30s or 2m")
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// decodeRepositories reads one name or a list of names.
func (r *reader) decodeRepositories(n *yaml.Node, path Path, v reflect.Value) {
	if n.Kind == yaml.ScalarNode {
		one := reflect.New(reflect.TypeFor[string]()).Elem()
		r.decode(n, path, one)
		v.Set(reflect.ValueOf(Repositories{one.String()}))
		return
	}
	many := reflect.New(reflect.TypeFor[[]string]()).Elem()
	r.decode(n, path, many)
	v.Set(many.Convert(v.Type()))
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.failAt(n, path, hinted(errors.New("no repository given"),
			"add a repository, or remove the key to use the image's name"))
	}
}

// decodeImmutable reads true, false, or a list of patterns.
func (r *reader) decodeImmutable(n *yaml.Node, path Path, v reflect.Value) {
	if n.Kind == yaml.SequenceNode {
		r.decode(n, path, v.FieldByName("Tags"))
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		r.decode(n, path, v.FieldByName("All"))
		return
	}
	r.failAt(n, path, hinted(errors.New("must be true or a list of tag patterns"),
		`write true, or patterns such as ["v*"]`))
}

// checkRegistries validates the configured registries and the mirrors.
func (r *reader) checkRegistries(c *Config) {
	for _, host := range slices.Sorted(maps.Keys(c.Registries)) {
		at := Path{"registries", host}
		if err := reference.CheckHost(host); err != nil {
			r.failAt(r.find(at), at, err)
		}
		if jobs := c.Registries[host].Jobs; jobs < 0 || jobs > 256 || jobs == 0 && r.has(at.to("jobs")) {
			r.fail(at.to("jobs"), "", "must be between 1 and 256, got %d", jobs)
		}
	}
	for i, mirror := range c.Mirrors {
		at := Path{"mirrors", i}
		switch {
		case CheckRegistry(mirror) != nil:
			r.checkRegistry(at, mirror)
		case mirror == c.Registry:
			r.fail(at, "use another registry, or remove it", "mirror is the registry itself")
		case slices.Contains(c.Mirrors[:i], mirror):
			r.fail(at, "", "duplicate mirror %q", mirror)
		}
	}
}

// CheckRegistry validates a registry that images can be pushed to: a host with an optional path.
func CheckRegistry(s string) error {
	err := fmt.Errorf("invalid registry %q", reference.Redact(s))
	if strings.HasSuffix(s, "/") && !strings.HasSuffix(s, "//") {
		return hinted(err, slashHint)
	}
	host, path := reference.Split(s + "/image")
	if strings.Contains(s, "://") {
		host = s
	}
	if host != "" {
		if wrong := reference.CheckHost(host); wrong != nil {
			return hinted(err, hintOf(wrong))
		}
	}
	path = strings.TrimSuffix(strings.TrimSuffix(path, "image"), "/")
	if path != "" {
		if hint := lowerCaseHint(s, path); hint != "" {
			return hinted(err, hint)
		}
		if reference.CheckPath(path) != nil {
			return hinted(err, registryHint)
		}
	}
	// The library parses https:// as a host named https.
	if _, wrong := name.NewRepository(s+"/image", name.StrictValidation); wrong != nil || strings.Contains(s, "//") {
		return hinted(err, registryHint)
	}
	return nil
}

// lowerCaseHint returns the lower-case form of a full name, which ends in path, if upper-case
// letters are the only error.
func lowerCaseHint(full, path string) string {
	lower := strings.ToLower(path)
	if lower == path || reference.CheckPath(lower) != nil {
		return ""
	}
	return fmt.Sprintf("repositories must be lower case: write %q", strings.TrimSuffix(full, path)+lower)
}

const registryHint = "write a host with an optional path, such as registry.example.com/team"

const slashHint = "remove the trailing slash"

func (r *reader) checkRegistry(at Path, s string) {
	if err := CheckRegistry(s); err != nil {
		r.failAt(r.find(at), at, err)
	}
}

// has reports whether the file has a value at path.
func (r *reader) has(path Path) bool {
	n := r.root
	for _, step := range path {
		if n, _ = child(n, step); n == nil {
			return false
		}
	}
	return true
}

func (r *reader) checkRepositories(at Path, all Repositories) {
	for i, repository := range all {
		at := at
		if len(all) > 1 {
			at = at.to(i)
		}
		if slices.Contains(all[:i], repository) {
			r.fail(at, "", "duplicate repository %q", repository)
			continue
		}
		if hint := repositoryHint(repository); hint != "" {
			r.fail(at, hint, "invalid repository %q", reference.Redact(repository))
		}
	}
}

// repositoryHint returns how to fix an invalid repository, or "" if it is valid.
func repositoryHint(repository string) string {
	host, path := reference.Split(repository)
	full := host != ""
	_, err := name.NewRepository(repository)
	wrong := reference.CheckPath(path)
	switch {
	case full && reference.CheckHost(host) != nil:
		return hintOf(reference.CheckHost(host))
	case strings.HasSuffix(repository, "/"):
		return slashHint
	case lowerCaseHint(repository, path) != "":
		return lowerCaseHint(repository, path)
	case wrong != nil && !full:
		return hintOf(wrong)
	case full && (wrong != nil || err != nil):
		return "write a repository such as registry.example.com/team/image, without a tag"
	}
	return ""
}

func (r *reader) checkImmutable(at Path, i Immutable) {
	for n, pattern := range i.Tags {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			r.fail(at.to(n), "write a tag, with * for any characters, such as v*", "invalid tag pattern %q", pattern)
		}
	}
}

func (r *reader) checkSmoke(at Path, s Smoke) {
	if s.Exit < 0 || s.Exit > 255 {
		r.fail(at.to("exit"), "", "must be between 0 and 255, got %d", s.Exit)
	}
	if s.HTTP == nil {
		return
	}
	if s.Exit != 0 || s.Stdout != "" {
		r.fail(at, "remove http:, or exit: and stdout:",
			"http cannot be combined with exit or stdout: the program is stopped after the request")
	}
	http := at.to("http")
	if p := s.HTTP.Path; p != "" && !strings.HasPrefix(p, "/") {
		r.fail(http.to("path"), fmt.Sprintf("write %q", "/"+p), "path %q does not start with /", p)
	}
	if p := s.HTTP.Port; p < 1 || p > 65535 {
		r.fail(http.to("port"), "", "must be between 1 and 65535, got %d", p)
	}
	if code := s.HTTP.Status; code != 0 && (code < 100 || code > 599) {
		r.fail(http.to("status"), "", "must be between 100 and 599, got %d", code)
	}
}

// Repositories returns all repositories that an image is pushed to, qualified with the registry if
// one is known: its own in file order, then those on the mirrors.
func (c *Config) Repositories(image, registry string) []string {
	listed := Repositories{image}
	if p := c.Images[image].Push; p != nil && len(p.Repository) > 0 {
		listed = p.Repository
	}
	var all []string
	for _, repository := range listed {
		if hasRegistry(repository) || registry == "" {
			all = append(all, repository)
		} else {
			all = append(all, registry+"/"+repository)
		}
	}
	for _, mirror := range c.Mirrors {
		for _, repository := range listed {
			if hasRegistry(repository) {
				_, repository, _ = strings.Cut(repository, "/")
			}
			if full := mirror + "/" + repository; !slices.Contains(all, full) {
				all = append(all, full)
			}
		}
	}
	return all
}

// RegistryOf returns the value of {{.Registry}} for a repository of an image: the registry or
// mirror that contains it, or everything before its last path component if it is in neither.
func (c *Config) RegistryOf(repository, registry string) string {
	for _, r := range append([]string{registry}, c.Mirrors...) {
		if r != "" && strings.HasPrefix(repository, r+"/") {
			return r
		}
	}
	if hasRegistry(repository) {
		return path.Dir(repository)
	}
	return registry
}

// TagPrefix returns the prefix of the git tags of an image.
func (c *Config) TagPrefix(image string) string {
	if p := c.Images[image].Push; p != nil {
		return p.TagPrefix
	}
	return ""
}
