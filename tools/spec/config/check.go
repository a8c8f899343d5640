package config

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// check validates the references and constraints between values. Each value on its own has been
// checked by decode.
func (r *reader) check(c *Config) {
	if c.Version != 1 {
		r.fail(Path{"version"}, "use version: 1, the only version this release supports", "unsupported version %d",
			c.Version)
	}
	if c.Registry != "" {
		r.checkRegistry(Path{"registry"}, c.Registry)
	}
	r.checkRegistries(c)
	r.checkPlatforms(Path{"platforms"}, c.Platforms)
	for _, n := range slices.Sorted(maps.Keys(c.Bases)) {
		r.checkBase(Path{"bases", n}, n, c.Bases[n])
	}
	if len(c.Images) == 0 {
		r.fail(Path{"images"}, "define at least one image", "no image defined")
	}
	for _, n := range slices.Sorted(maps.Keys(c.Images)) {
		r.checkImage(c, Path{"images", n}, n)
	}
	r.checkCollisions(c)
}

func (r *reader) checkPlatforms(at Path, platforms []arch.Platform) {
	if platforms != nil && len(platforms) == 0 {
		r.fail(at, suggest.Hint("", arch.Names()), "no platform given")
	}
	first := map[arch.Platform]int{}
	for i, p := range platforms {
		if p == (arch.Platform{}) {
			continue // already reported by decode
		}
		if j, ok := first[p]; ok {
			r.fail(at.to(i), "", "duplicate platform: %s is already listed in %s", p, at.to(j))
			continue
		}
		first[p] = i
	}
}

// imageName matches names that are valid as a repository path component, as an OCI layout's
// reference name and as a Bazel target.
var imageName = lazy(`^[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

func (r *reader) checkBase(at Path, n string, b Base) {
	if !imageName().MatchString(n) {
		r.fail(at, "use lower-case letters and digits, separated by single . _ or -", "invalid name %q", n)
	}
	given := 0
	for _, one := range []bool{b.Builtin != "", b.Image != "", b.Debian != nil} {
		if one {
			given++
		}
	}
	if given != 1 {
		r.fail(at, "set exactly one of builtin, image and debian", "%d of builtin, image and debian are set", given)
	}
	if b.Builtin != "" && b.Builtin != Static && b.Builtin != Scratch {
		r.fail(at.to("builtin"), suggest.Hint(b.Builtin, []string{Static, Scratch}), "unknown built-in base %q",
			b.Builtin)
	}
	if b.Builtin == "" && (n == Scratch || n == Static) {
		r.fail(at, "choose another name", "%s is a built-in base and cannot be redefined", n)
	}
	if b.Image != "" {
		r.checkReference(at.to("image"), b.Image)
	}
	r.checkBasePlatforms(at, b)
	if b.Debian != nil {
		r.checkDebian(at.to("debian"), *b.Debian)
	}
}

func (r *reader) checkReference(at Path, ref string) {
	if hint := referenceHint(ref); hint != "" {
		r.fail(at, hint, "invalid image reference %q", reference.Redact(ref))
	}
}

// referenceHint returns how to fix an invalid image reference, or "" if ref is valid.
func referenceHint(ref string) string {
	parsed, err := name.ParseReference(ref)
	if err == nil {
		err = reference.Check(parsed.Context())
	}
	var host *reference.HostError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &host) || reference.Redact(ref) != ref:
		return (&reference.HostError{Host: reference.Redact(ref)}).Hint()
	}
	return "write registry/repository:tag or registry/repository@sha256:digest"
}

func (r *reader) checkImage(c *Config, at Path, n string) {
	i := c.Images[n]
	if !imageName().MatchString(n) {
		r.fail(at, "use lower-case letters and digits, separated by single . _ or -", "invalid name %q", n)
	}
	r.checkPlatforms(at.to("platforms"), i.Platforms)
	switch {
	case !i.From.IsZero():
		r.checkFrom(c, at, i)
	case i.IsEmpty(arch.Platform{}) &&
		!slices.ContainsFunc(c.PlatformsOf(n), func(p arch.Platform) bool { return !i.IsEmpty(p) }):
		r.fail(at, "set go: (a main package), files: or from: (existing images)", "image has no content")
	case len(c.PlatformsOf(n)) == 0 &&
		!slices.ContainsFunc(r.errs, func(e *Error) bool { return within("platforms", e.Path) }):
		r.fail(at, "set platforms: here or at the top of the file; "+suggest.Hint("", arch.Names()),
			"no platform given")
	}
	if i.Go != nil && i.Go.Package == "" {
		r.fail(at.to("go", "package"), "set it to the directory of a main package, such as ./app/hello", "is required")
	}
	platforms := c.PlatformsOf(n)
	r.checkEmpty(at, i, platforms)
	r.checkSettings(c, at, i.Settings, platforms)
	r.checkIndexAnnotations(at.to("annotations"), i.Annotations)

	for _, p := range slices.SortedFunc(maps.Keys(i.Overrides), byTable) {
		if p != (arch.Platform{}) && !slices.Contains(platforms, p) {
			r.fail(at.to("overrides", p.String()), suggest.Hint(p.String(), namesOf(platforms)),
				"image is not built for this platform")
		}
		if over := i.Overrides[p].Go; over != nil && i.Go == nil && over.Package == "" {
			r.fail(at.to("overrides", p.String(), "go", "package"),
				"set it to the directory of a main package, such as ./app/hello", "is required")
		}
		r.checkSettings(c, at.to("overrides", p.String()), i.Overrides[p], []arch.Platform{p})
	}
	if i.Push != nil {
		r.checkPush(at.to("push"), *i.Push)
	}
	if i.Smoke != nil {
		r.checkSmoke(at.to("smoke"), *i.Smoke)
	}
}

// checkEmpty reports platforms without content if overrides give content to other platforms.
func (r *reader) checkEmpty(at Path, i Image, platforms []arch.Platform) {
	var empty []string
	for _, p := range platforms {
		if p != (arch.Platform{}) && i.From.IsZero() && i.IsEmpty(p) {
			empty = append(empty, p.String())
		}
	}
	if len(empty) > 0 && len(empty) < len(platforms) {
		r.fail(at, "set files: or go: for the image, or in the overrides: of these platforms",
			"image has no content on %s", strings.Join(empty, ", "))
	}
}

func byTable(a, b arch.Platform) int {
	if a.Variant != b.Variant && a.Architecture == b.Architecture && a.OS == b.OS {
		return strings.Compare(a.String(), b.String())
	}
	return arch.Order(a) - arch.Order(b)
}

var (
	userPattern   = lazy(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)
	signalPattern = lazy(`^(SIG[A-Z0-9]+([+-][0-9]+)?|[0-9]{1,2})$`)
	// See git check-ref-format. Characters with a meaning in the patterns of git describe are left out.
	tagPrefixPattern = lazy(`^[A-Za-z0-9_@+-]+([./][A-Za-z0-9_@+-]+)*[./]?$`)
	placeholder      = lazy(`\{[^}]*\}`)
)

// reservedGoEnv lists the go command's variables that follow from the platform and cgo:. Setting
// them could produce a binary for another platform than its image declares.
var reservedGoEnv = []Name{"GOOS", "GOARCH", "GOARM", "GOARM64", "GOAMD64", "CGO_ENABLED"}

// Placeholders returns the placeholders that the from of a file may contain.
func Placeholders() []string { return []string{"{os}", "{arch}", "{variant}"} }

func (r *reader) checkSettings(c *Config, at Path, s Settings, platforms []arch.Platform) {
	if s.Go != nil {
		r.checkPackage(at.to("go", "package"), s.Go.Package)
		for _, n := range reservedGoEnv {
			if _, ok := s.Go.Env[n]; ok {
				r.fail(at.to("go", "env", string(n)), "remove it; platforms: and cgo: determine it",
					"cannot be set here")
			}
		}
	}
	for i, f := range s.Files {
		r.checkFile(at.to("files", i), f)
	}
	r.checkDirectories(at, s)
	r.checkBaseChoice(c, at.to("base"), s.Base, platforms)
	if len(s.Entrypoint) > 0 && s.Entrypoint[0] == "" {
		r.fail(at.to("entrypoint", 0), "write the path of the program", "is empty")
	}
	if s.User != "" && !userPattern().MatchString(string(s.User)) {
		r.fail(at.to("user"), "write USER or USER:GROUP, by name or number, such as nonroot or 65532:65532",
			"invalid user %q", s.User)
	}
	if s.Workdir != "" {
		r.checkImagePath(at.to("workdir"), s.Workdir, platforms)
	}
	for i, v := range s.Volumes {
		r.checkImagePath(at.to("volumes", i), v, platforms)
	}
	r.checkNames(at.to("env"), s.Env, platforms)
	if s.Healthcheck != nil {
		r.checkHealth(at.to("healthcheck"), *s.Healthcheck)
	}
	if s.StopSignal != "" && !signalPattern().MatchString(s.StopSignal) {
		r.fail(at.to("stop_signal"), "write it as SIGTERM, SIGRTMIN+3 or 15", "invalid signal %q", s.StopSignal)
	}
}

// checkPackage accepts a directory inside the source tree, such as ./app/hello, or an import path.
func (r *reader) checkPackage(at Path, pkg string) {
	switch {
	case pkg == "":
	case path.IsAbs(pkg) || strings.HasPrefix(path.Clean(pkg), "../") || path.Clean(pkg) == "..":
		r.fail(at, "use a directory inside the source tree, such as ./app/hello, or an import path",
			"%q is outside the source tree", pkg)
	case strings.Contains(pkg, "...") || strings.ContainsAny(pkg, " \t\n\\@") || strings.HasPrefix(pkg, "-"):
		r.fail(at, "write one directory, such as ./app/hello, or one import path", "invalid package %q", pkg)
	}
}

func (r *reader) checkFile(at Path, f File) {
	from := at.to("from")
	switch clean := path.Clean(f.From); {
	case f.From == "":
		r.fail(from, "set it to a file or directory", "is empty")
	case path.IsAbs(f.From) || clean == ".." || strings.HasPrefix(clean, "../"):
		r.fail(from, "use a path inside the source tree", "%q is outside the source tree", f.From)
	}
	for _, word := range placeholder().FindAllString(f.From, -1) {
		if !slices.Contains(Placeholders(), word) {
			r.fail(from, suggest.Hint(word, Placeholders()), "unknown placeholder %s", word)
		}
	}
	r.checkInside(at.to("to"), f.To)
	r.checkWhiteout(at.to("to"), f.To)
	for i, g := range f.Glob {
		if !doublestar.ValidatePattern(strings.TrimPrefix(g, "!")) || g == "" || g == "!" {
			r.fail(at.to("glob", i), "write a glob pattern, such as **/*.py or !**/*_test.py", "invalid pattern %q", g)
		}
	}
}

// checkInside accepts absolute, clean paths in the image.
func (r *reader) checkInside(at Path, p string) {
	clean := path.Clean(p)
	switch {
	case !path.IsAbs(p):
		r.fail(at, "write an absolute path in the image, such as /app", "path %q is not absolute", p)
	case clean != p && clean+"/" != p:
		r.fail(at, fmt.Sprintf("write %q", clean), "path %q is not clean", p)
	}
}

func (r *reader) checkPush(at Path, p Push) {
	r.checkRepositories(at.to("repository"), p.Repository)
	r.checkImmutable(at.to("immutable"), p.Immutable)
	if p.Tags != nil && len(p.Tags) == 0 {
		r.fail(at.to("tags"), "add a tag, or remove the key to push latest", "no tag given")
	}
	if p.TagPrefix != "" && !tagPrefixPattern().MatchString(p.TagPrefix) {
		r.fail(at.to("tag_prefix"), "write the prefix of this image's git tags, such as server/ or server-",
			"invalid prefix of git tags: %q", p.TagPrefix)
	}
	seen := map[Template]bool{}
	for i, t := range p.Tags {
		if !strings.Contains(string(t), "{{") {
			var invalid *reference.TagError
			if errors.As(reference.CheckTag(string(t)), &invalid) {
				r.fail(at.to("tags", i), invalid.Hint(), "%v", invalid)
			}
		}
		if seen[t] {
			r.fail(at.to("tags", i), "", "duplicate tag %q", t)
		}
		seen[t] = true
	}
}

// checkCollisions reports images that push the same tag to the same repository.
func (r *reader) checkCollisions(c *Config) {
	type target struct {
		repository string
		tag        Template
	}
	owner := map[target]string{}
	for _, n := range slices.Sorted(maps.Keys(c.Images)) {
		push := c.Images[n].Push
		if push == nil {
			continue
		}
		var all []target
		for _, repository := range c.Repositories(n, c.Registry) {
			for _, tag := range push.tags() {
				all = append(all, target{repository, tag})
			}
		}
		for _, t := range all {
			if other, taken := owner[t]; taken && other != n {
				r.fail(Path{"images", n, "push"}, "give one of the two images another repository or other tags",
					"collides with images.%s: both push %s:%s", other, t.repository, t.tag)
				break
			}
			owner[t] = n
		}
	}
}

// hasRegistry reports whether a repository includes its registry, by Docker's rule for the first
// part of a reference.
func hasRegistry(repository string) bool {
	host, _ := reference.Split(repository)
	return host != ""
}

func (p *Push) tags() []Template {
	if p == nil || p.Tags == nil {
		return []Template{"latest"}
	}
	return p.Tags
}

// Tags returns the tag templates of an image; the default is latest.
func (c *Config) Tags(image string) []Template { return c.Images[image].Push.tags() }
