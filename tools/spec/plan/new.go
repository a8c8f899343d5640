package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// UnknownImageError is returned for an image name that is not in the configuration.
type UnknownImageError struct {
	Name  string
	Known []string
}

func (e *UnknownImageError) Error() string { return fmt.Sprintf("unknown image %q", e.Name) }

// Class classifies the error for the exit code.
func (e *UnknownImageError) Class() fault.Class { return fault.Usage }

// Hint returns the closest match and all images.
func (e *UnknownImageError) Hint() string { return suggest.Hint(e.Name, e.Known) }

// MissingPlatformError is returned if an image does not have a requested platform. Omitting it
// silently would publish less than requested.
type MissingPlatformError struct {
	Image    string
	Platform arch.Platform
	Has      []string
}

func (e *MissingPlatformError) Error() string {
	return fmt.Sprintf("image %s has no platform %s", e.Image, e.Platform)
}

// Class classifies the error for the exit code.
func (e *MissingPlatformError) Class() fault.Class { return fault.Usage }

// Hint lists the platforms of the image.
func (e *MissingPlatformError) Hint() string {
	return "platforms of the image: " + strings.Join(e.Has, ", ") + "; add it in multiarch.yaml, or select other images"
}

// New resolves a configuration. Errors in the configuration are returned together as config.Errors;
// errors in the options are *UnknownImageError and *MissingPlatformError, joined.
func New(c *config.Config, opts Options) (*Plan, error) {
	b := builder{c: c, opts: opts}
	known := slices.Sorted(maps.Keys(c.Images))
	names := slices.Compact(slices.Sorted(slices.Values(opts.Images)))
	if len(names) == 0 {
		names = known
	}
	p := &Plan{Images: make([]Image, 0, len(names))}
	for _, n := range names {
		if _, ok := c.Images[n]; !ok {
			b.optionErrors = append(b.optionErrors, &UnknownImageError{n, known})
			continue
		}
		p.Images = append(p.Images, b.image(n))
	}
	if len(b.optionErrors) > 0 {
		return nil, errors.Join(b.optionErrors...)
	}
	if len(b.configErrors) > 0 {
		return nil, b.configErrors.Sorted()
	}
	return p, nil
}

type builder struct {
	c            *config.Config
	opts         Options
	optionErrors []error       // errors in the options
	configErrors config.Errors // errors in the configuration
}

func (b *builder) fail(at config.Path, hint, format string, args ...any) {
	b.configErrors.Add(b.c.Errorf(at, hint, format, args...))
}

func (b *builder) image(n string) Image {
	src, at := b.c.Images[n], config.Path{"images", n}
	registry := cmp.Or(b.opts.Registry, b.c.Registry)
	i := Image{Name: n, Push: b.push(n, registry), Smoke: src.Smoke}
	vars := b.opts.Vars
	vars.Image, vars.Registry, vars.Repository = n, b.c.RegistryOf(i.Push.Repository, registry), i.Push.Repository
	vars.TagPrefix = b.c.TagPrefix(n)
	i.Annotations = b.values(n, nil, "annotations", src.Annotations, vars, b.opts.Bazel && vars.Checkout == nil)
	if src.Push != nil {
		i.Push.PerPlatform = src.Push.PerPlatform
		i.Push.Immutable = src.Push.Immutable.Patterns()
	}
	if !src.From.IsZero() {
		return b.from(i, src.From, registry)
	}
	for _, p := range b.platforms(n) {
		row, _ := arch.Find(p)
		vars.Platform = config.PlatformVarsOf(row)
		settings := src.On(p)
		if !b.opts.Bazel && !settings.HasContent() {
			b.fail(append(at, "bazel"), "add go: or files:, or build it with Bazel",
				"images that only have a Bazel label are not supported here")
			continue
		}
		i.Children = append(i.Children, b.child(at, n, row, settings, vars))
	}
	return i
}

// push resolves the repositories of an image. If the options set another registry, all repositories
// are in that one.
func (b *builder) push(n, registry string) Push {
	p := Push{Registry: registry, Tags: b.c.Tags(n)}
	repositories := b.c.Repositories(n, registry)
	if b.opts.Registry != "" {
		p.Redirected = b.c.Redirect(n, registry)
		repositories = nil
		for _, r := range p.Redirected {
			if !slices.Contains(repositories, r.To) {
				repositories = append(repositories, r.To)
			}
		}
	}
	p.Repository, p.Further = repositories[0], repositories[1:]
	return p
}

// platforms returns the requested platforms of an image in table order.
func (b *builder) platforms(n string) []arch.Platform {
	has := slices.Clone(b.c.PlatformsOf(n))
	slices.SortFunc(has, func(x, y arch.Platform) int { return cmp.Compare(arch.Order(x), arch.Order(y)) })
	if len(b.opts.Platforms) == 0 {
		return has
	}
	for _, want := range b.opts.Platforms {
		if !slices.Contains(has, want) {
			var names []string
			for _, p := range has {
				names = append(names, p.String())
			}
			b.optionErrors = append(b.optionErrors, &MissingPlatformError{n, want, names})
		}
	}
	return slices.DeleteFunc(has, func(p arch.Platform) bool { return !slices.Contains(b.opts.Platforms, p) })
}

func (b *builder) child(at config.Path, n string, row arch.Row, s config.Settings, vars config.Vars) Child {
	src := b.base(at, row, s.Base.Name)
	c := Child{
		Platform:    row.Platform,
		Base:        src,
		Annotations: b.values(n, &row.Platform, "annotations", s.Annotations, vars, b.opts.Bazel),
		Compression: cmp.Or(s.Compression, config.Gzip),
		Epoch:       b.epoch(),
		Config: image.Settings{
			Entrypoint:  s.Entrypoint,
			Cmd:         s.Cmd,
			Env:         b.env(n, row.Platform, s.Env, vars),
			User:        b.user(at, src, string(s.User)),
			Workdir:     s.Workdir,
			Volumes:     slices.Compact(slices.Sorted(slices.Values(s.Volumes))),
			Labels:      b.values(n, &row.Platform, "labels", s.Labels, vars, b.opts.Bazel),
			StopSignal:  s.StopSignal,
			Created:     b.created(at, s.Created),
			Healthcheck: b.healthcheck(at, src, s),
		},
	}
	for _, p := range s.Ports {
		c.Config.Ports = append(c.Config.Ports, string(p))
	}
	slices.Sort(c.Config.Ports)
	for _, f := range s.Files {
		words := strings.NewReplacer("{os}", row.OS, "{arch}", row.Architecture, "{variant}", row.Variant)
		c.Files = append(c.Files, File{
			From: words.Replace(f.From), To: f.To, Glob: f.Glob, Mode: uint32(f.Mode), UID: f.Owner.UID,
			GID:          f.Owner.GID,
			Capabilities: string(f.Capabilities),
		})
	}
	for _, d := range s.Directories {
		c.Directories = replaced(c.Directories, Directory{path.Clean(d.Path), uint32(d.Mode), d.Owner},
			func(d Directory) string { return d.Path })
	}
	for _, l := range s.Links {
		c.Links = replaced(c.Links, Link{path.Clean(l.Path), l.To}, func(l Link) string { return l.Path })
	}
	c.RequiredDirs = requiredDirs(s)
	if s.Go != nil {
		c.Go = b.gobuild(at, n, row, *s.Go, vars)
	}
	if b.opts.Bazel {
		c.Bazel = b.c.Images[n].Bazel
		if c.Bazel != "" {
			c.BazelPath = binaryPath(row.OS, n)
		}
	}
	if s.Entrypoint == nil && (c.Go != nil || c.Bazel != "") {
		c.Config.Entrypoint = []string{inside(row.OS, binaryPath(row.OS, n))}
	}
	return c
}

// replaced returns list with one more element, which replaces an element with the same path:
// overrides replace entries of the image.
func replaced[T any](list []T, with T, path func(T) string) []T {
	if n := slices.IndexFunc(list, func(t T) bool { return path(t) == path(with) }); n >= 0 {
		list[n] = with
		return list
	}
	return append(list, with)
}

// requiredDirs returns the directories that a container needs at start: the working directory and the
// volumes.
func requiredDirs(s config.Settings) []string {
	var list []string
	for _, p := range append([]string{s.Workdir}, s.Volumes...) {
		if p = path.Clean(p); path.IsAbs(p) && p != "/" {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// user converts user names of the static base to numbers. Kubernetes cannot tell whether a name is
// root (runAsNonRoot), and an image without /etc/passwd has no names.
func (b *builder) user(at config.Path, base Base, user string) string {
	if user == "" {
		return ""
	}
	parts := strings.Split(user, ":")
	for i, part := range parts {
		var known []string
		for _, u := range static.Users() {
			known = append(known, u.Name)
			if base.Builtin == Static && part == u.Name {
				parts[i] = strconv.Itoa(u.ID)
			}
		}
		if _, err := strconv.ParseUint(parts[i], 10, 32); err == nil {
			continue
		}
		switch {
		case base.Builtin == "":
			// The base's /etc/passwd is not known here.
		case base.Builtin == Static:
			b.fail(append(at, "user"), suggest.Hint(part, known)+", or a number", "base %s has no user %q",
				base.Name, part)
		default:
			b.fail(append(at, "user"), "write a number, such as 65532", "base %s has no named users", base.Name)
		}
	}
	return strings.Join(parts, ":")
}

func (b *builder) gobuild(at config.Path, n string, row arch.Row, src config.Go, vars config.Vars) *Go {
	g := &Go{
		Package: src.Package,
		Path:    binaryPath(row.OS, n),
		Tags:    slices.Compact(slices.Sorted(slices.Values(src.Tags))),
		Env:     environ(src.Env),
		Cgo:     src.Cgo != nil && *src.Cgo,

		Capabilities: string(src.Capabilities),
	}
	if src.Ldflags == nil {
		// Symbols are a third of a Go program, and it does not read them itself.
		g.Ldflags = []string{"-s", "-w"}
	}
	for i, flag := range src.Ldflags {
		if b.opts.Bazel {
			g.Ldflags = append(g.Ldflags, string(flag))
			continue
		}
		value, err := flag.Expand(vars)
		if err != nil {
			b.fail(append(at, "go", "ldflags", i), "", "%w", err)
		}
		g.Ldflags = append(g.Ldflags, value)
	}
	return g
}

func (b *builder) epoch() time.Time {
	if b.opts.Epoch.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return b.opts.Epoch.UTC()
}

func (b *builder) created(at config.Path, c config.Created) time.Time {
	switch {
	case c.Commit && b.opts.Bazel:
	case c.Commit:
		git, err := b.opts.Vars.Git()
		var committed string
		if err == nil {
			committed, err = git.CommitTime()
		}
		if err != nil {
			b.fail(append(at, "created"), "", "%w", err)
			return b.epoch()
		}
		t, err := time.Parse(time.RFC3339, committed)
		if err != nil {
			b.fail(append(at, "created"), "", "parsing the commit time: %w", err)
		}
		return t
	case !c.Time.IsZero() && c.Time.Unix() != 0:
		return c.Time
	}
	return b.epoch()
}

// binaryPath returns the path of an image's Go binary.
func binaryPath(os, image string) string {
	if os == "windows" {
		return "/app/" + image + ".exe"
	}
	return "/app/" + image
}

// inside returns a path in the notation of its operating system.
func inside(os, p string) string {
	if os == "windows" {
		return `C:` + strings.ReplaceAll(path.Clean(p), "/", `\`)
	}
	return p
}
