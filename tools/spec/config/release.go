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

// Registry says how one registry is spoken to.
type Registry struct {
	Insecure bool `yaml:"insecure,omitempty" jsonschema_description:"Allow plain HTTP, and certificates nobody vouches for, to this registry."`
	Jobs     int  `yaml:"jobs,omitempty" jsonschema:"minimum=1,maximum=256" jsonschema_description:"How many requests may be under way to this registry at once, and beside them how many blobs may be read from it; default: 96 each where images are pushed."`
}

// Repositories are the repositories of an image: one, or a list of them.
type Repositories []string

// Immutable says which tags never come to stand for something else: all of them, or those that a pattern matches.
type Immutable struct {
	All  bool
	Tags []string // patterns as path.Match has them
}

// Patterns returns the patterns that match what is immutable, none where nothing is.
func (i Immutable) Patterns() []string {
	if i.All {
		return []string{"*"}
	}
	return i.Tags
}

// Smoke is how a child of an image shows that it works, before any tag moves: its program is run with Args, and has to
// end with Exit and to say what Stdout matches; or it is left running and has to answer as HTTP says.
type Smoke struct {
	Args    []string        `yaml:"args,omitempty" jsonschema_description:"Arguments instead of the image's cmd."`
	Env     map[Name]Text   `yaml:"env,omitempty" jsonschema_description:"Environment variables, laid over the image's."`
	Exit    int             `yaml:"exit,omitempty" jsonschema:"minimum=0,maximum=255" jsonschema_description:"The exit code to expect; default: 0."`
	Stdout  Pattern         `yaml:"stdout,omitempty" jsonschema_description:"A regular expression that what is printed has to match somewhere; ^ and $ match at lines, a plain word stands for itself."`
	Timeout Duration        `yaml:"timeout,omitempty" jsonschema_description:"How long it may take, such as 30s or 2m; default: 1m."`
	Skip    []arch.Platform `yaml:"skip,omitempty" jsonschema_description:"Platforms that are not tried out, such as those that neither the machine nor qemu-user runs."`
	HTTP    *SmokeHTTP      `yaml:"http,omitempty" jsonschema_description:"A request that the running program has to answer."`
}

// SmokeHTTP is a request to a program and the answer to expect.
type SmokeHTTP struct {
	Path   string  `yaml:"path,omitempty" jsonschema_description:"The path to ask for; default: /."`
	Port   int     `yaml:"port" jsonschema:"minimum=1,maximum=65535" jsonschema_description:"The TCP port that the program listens on. It is the machine's own port."`
	Status int     `yaml:"status,omitempty" jsonschema:"minimum=100,maximum=599" jsonschema_description:"The status to expect; default: 200."`
	Body   Pattern `yaml:"body,omitempty" jsonschema_description:"A regular expression that the body has to match somewhere."`
}

// Pattern is a regular expression in the syntax of Go's regexp.
type Pattern string

// UnmarshalText refuses what is no regular expression.
func (p *Pattern) UnmarshalText(text []byte) error {
	if _, err := regexp.Compile(string(text)); err != nil {
		return hinted(fmt.Errorf("%q is not a regular expression: %w", text, err), `write \ before each of . + * ? ( ) [ ] { } | ^ $ that stands for itself`)
	}
	*p = Pattern(text)
	return nil
}

// Duration is a positive length of time.
type Duration time.Duration

// UnmarshalText reads what Go's time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed <= 0 {
		return hinted(fmt.Errorf("%q is not a length of time", text), "write a number and a unit, such as 30s or 2m")
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// decodeRepositories reads one name, or a list of names.
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
		r.failAt(n, path, hinted(errors.New("names no repository"), "remove the key for the image's name, or name a repository"))
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
	r.failAt(n, path, hinted(errors.New("must be true, or a list of patterns of tags"), `such as ["v*"]`))
}

// checkRegistries checks the registries that are named, and those that get everything as well.
func (r *reader) checkRegistries(c *Config) {
	for _, host := range slices.Sorted(maps.Keys(c.Registries)) {
		at := Path{"registries", host}
		if err := reference.CheckHost(host); err != nil {
			r.failAt(r.find(at), at, err)
		}
		if jobs := c.Registries[host].Jobs; jobs < 0 || jobs > 256 || jobs == 0 && r.has(at.to("jobs")) {
			r.fail(at.to("jobs"), "", "%d is not between 1 and 256", jobs)
		}
	}
	for i, mirror := range c.Mirrors {
		at := Path{"mirrors", i}
		switch {
		case CheckRegistry(mirror) != nil:
			r.checkRegistry(at, mirror)
		case mirror == c.Registry:
			r.fail(at, "name another one", "is the registry itself")
		case slices.Contains(c.Mirrors[:i], mirror):
			r.fail(at, "", "duplicate mirror %q", mirror)
		}
	}
}

// CheckRegistry refuses what images cannot go below: it has to be a host with an optional path.
func CheckRegistry(s string) error {
	err := fmt.Errorf("%q is not a registry", reference.Redact(s))
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
	// The library takes https:// for a host called https.
	if _, wrong := name.NewRepository(s+"/image", name.StrictValidation); wrong != nil || strings.Contains(s, "//") {
		return hinted(err, registryHint)
	}
	return nil
}

// lowerCaseHint says how to write a full name, which ends in path, if upper-case letters are all that is wrong with it.
func lowerCaseHint(full, path string) string {
	lower := strings.ToLower(path)
	if lower == path || reference.CheckPath(lower) != nil {
		return ""
	}
	return fmt.Sprintf("repositories are lower case: write %q", strings.TrimSuffix(full, path)+lower)
}

const registryHint = "write a host with an optional path, such as registry.example.com/team"

const slashHint = "write it without the slash at its end"

func (r *reader) checkRegistry(at Path, s string) {
	if err := CheckRegistry(s); err != nil {
		r.failAt(r.find(at), at, err)
	}
}

// has tells whether the file has a value at path.
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
			r.fail(at, hint, "%q is not a repository", reference.Redact(repository))
		}
	}
}

// repositoryHint says how to write what is not a repository; "" if it is one.
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
		return "write it as registry.example.com/team/image, without a tag"
	}
	return ""
}

func (r *reader) checkImmutable(at Path, i Immutable) {
	for n, pattern := range i.Tags {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			r.fail(at.to(n), "write a tag, with * for any characters, such as v*", "%q is not a pattern of tags", pattern)
		}
	}
}

func (r *reader) checkSmoke(at Path, s Smoke) {
	if s.Exit < 0 || s.Exit > 255 {
		r.fail(at.to("exit"), "", "%d is not between 0 and 255", s.Exit)
	}
	if s.HTTP == nil {
		return
	}
	if s.Exit != 0 || s.Stdout != "" {
		r.fail(at, "remove http:, or exit: and stdout:", "a program that answers requests is stopped, so what it ends with says nothing")
	}
	http := at.to("http")
	if p := s.HTTP.Path; p != "" && !strings.HasPrefix(p, "/") {
		r.fail(http.to("path"), fmt.Sprintf("write %q", "/"+p), "%q does not begin with /", p)
	}
	if p := s.HTTP.Port; p < 1 || p > 65535 {
		r.fail(http.to("port"), "", "%d is not between 1 and 65535", p)
	}
	if code := s.HTTP.Status; code != 0 && (code < 100 || code > 599) {
		r.fail(http.to("status"), "", "%d is not between 100 and 599", code)
	}
}

// Repositories returns all repositories that an image goes to, in full where a registry is known: its own, in the order
// of the file, then those on the mirrors.
func (c *Config) Repositories(image, registry string) []string {
	listed := Repositories{image}
	if p := c.Images[image].Push; p != nil && len(p.Repository) > 0 {
		listed = p.Repository
	}
	var all []string
	for _, repository := range listed {
		if alone(repository) || registry == "" {
			all = append(all, repository)
		} else {
			all = append(all, registry+"/"+repository)
		}
	}
	for _, mirror := range c.Mirrors {
		for _, repository := range listed {
			if alone(repository) {
				_, repository, _ = strings.Cut(repository, "/")
			}
			if full := mirror + "/" + repository; !slices.Contains(all, full) {
				all = append(all, full)
			}
		}
	}
	return all
}

// RegistryOf returns what {{.Registry}} is for one of the repositories of an image: the registry or the mirror that it is
// in, or what stands before its last part where it is in neither.
func (c *Config) RegistryOf(repository, registry string) string {
	for _, r := range append([]string{registry}, c.Mirrors...) {
		if r != "" && strings.HasPrefix(repository, r+"/") {
			return r
		}
	}
	if alone(repository) {
		return path.Dir(repository)
	}
	return registry
}

// TagPrefix returns the prefix of the git tags that are about an image.
func (c *Config) TagPrefix(image string) string {
	if p := c.Images[image].Push; p != nil {
		return p.TagPrefix
	}
	return ""
}
