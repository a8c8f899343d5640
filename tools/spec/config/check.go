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

// check records what is wrong with a configuration whose values are each sound: what they refer to, what excludes what.
func (r *reader) check(c *Config) {
	if c.Version != 1 {
		r.fail(Path{"version"}, "this multiarch knows version 1", "unknown version %d", c.Version)
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
		r.fail(Path{"images"}, "name at least one image", "has no image")
	}
	for _, n := range slices.Sorted(maps.Keys(c.Images)) {
		r.checkImage(c, Path{"images", n}, n)
	}
	r.checkCollisions(c)
}

func (r *reader) checkPlatforms(at Path, platforms []arch.Platform) {
	if platforms != nil && len(platforms) == 0 {
		r.fail(at, suggest.Hint("", arch.Names()), "names no platform")
	}
	first := map[arch.Platform]int{}
	for i, p := range platforms {
		if p == (arch.Platform{}) {
			continue // it could not be read, and that has been said
		}
		if j, ok := first[p]; ok {
			r.fail(at.to(i), "", "duplicate platform: %s is in %s already", p, at.to(j))
			continue
		}
		first[p] = i
	}
}

// imageName is what a repository's path component, an OCI layout's reference name and a Bazel target all accept.
var imageName = lazy(`^[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

func (r *reader) checkBase(at Path, n string, b Base) {
	if !imageName().MatchString(n) {
		r.fail(at, "use lower-case letters, digits, and single . _ - between them", "%q is not a name", n)
	}
	given := 0
	for _, one := range []bool{b.Builtin != "", b.Image != "", b.Debian != nil} {
		if one {
			given++
		}
	}
	if given != 1 {
		r.fail(at, "give exactly one of: builtin, image, debian", "has %d of them", given)
	}
	if b.Builtin != "" && b.Builtin != Static && b.Builtin != Scratch {
		r.fail(at.to("builtin"), suggest.Hint(b.Builtin, []string{Static, Scratch}), "unknown built-in base %q", b.Builtin)
	}
	if b.Builtin == "" && (n == Scratch || n == Static) {
		r.fail(at, "choose another name", "%s is the name of a built-in base", n)
	}
	if b.Image != "" {
		r.checkReference(at.to("image"), b.Image)
	}
	r.checkOwnWords(at, b)
	if b.Debian != nil {
		r.checkDebian(at.to("debian"), *b.Debian)
	}
}

func (r *reader) checkReference(at Path, ref string) {
	if hint := referenceHint(ref); hint != "" {
		r.fail(at, hint, "%q is not an image reference", reference.Redact(ref))
	}
}

// referenceHint says how to write what is not the reference of an image; "" if it is one.
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
	return "write it as registry/repository:tag or registry/repository@sha256:digest"
}

func (r *reader) checkImage(c *Config, at Path, n string) {
	i := c.Images[n]
	if !imageName().MatchString(n) {
		r.fail(at, "use lower-case letters, digits, and single . _ - between them", "%q is not a name", n)
	}
	r.checkPlatforms(at.to("platforms"), i.Platforms)
	switch {
	case !i.From.IsZero():
		r.checkFrom(c, at, i)
	case !slices.ContainsFunc(c.PlatformsOf(n), func(p arch.Platform) bool { return !i.IsEmpty(p) }) && i.IsEmpty(arch.Platform{}):
		r.fail(at, "give go: a main package, files: what to put in, or from: existing images", "has nothing in it")
	case len(c.PlatformsOf(n)) == 0 && !slices.ContainsFunc(r.errs, func(e *Error) bool { return within("platforms", e.Path) }):
		r.fail(at, "give platforms: here or at the top of the file; "+suggest.Hint("", arch.Names()), "has no platform")
	}
	if i.Go != nil && i.Go.Package == "" {
		r.fail(at.to("go", "package"), "give the directory of a main package, such as ./app/hello", "is missing")
	}
	platforms := c.PlatformsOf(n)
	r.checkEmpty(at, i, platforms)
	r.checkSettings(c, at, i.Settings, platforms)
	r.checkIndexAnnotations(at.to("annotations"), i.Annotations)

	for _, p := range slices.SortedFunc(maps.Keys(i.Overrides), byTable) {
		if p != (arch.Platform{}) && !slices.Contains(platforms, p) {
			r.fail(at.to("overrides", p.String()), suggest.Hint(p.String(), namesOf(platforms)), "is not a platform of this image")
		}
		if over := i.Overrides[p].Go; over != nil && i.Go == nil && over.Package == "" {
			r.fail(at.to("overrides", p.String(), "go", "package"), "give the directory of a main package, such as ./app/hello", "is missing")
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

// checkEmpty records the platforms that have nothing, if others have something by overrides.
func (r *reader) checkEmpty(at Path, i Image, platforms []arch.Platform) {
	var empty []string
	for _, p := range platforms {
		if p != (arch.Platform{}) && i.From.IsZero() && i.IsEmpty(p) {
			empty = append(empty, p.String())
		}
	}
	if len(empty) > 0 && len(empty) < len(platforms) {
		r.fail(at, "give files: or go: of the image itself, or in overrides: for each platform", "has nothing in it on %s",
			strings.Join(empty, ", "))
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
	tagPattern    = lazy(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	// git check-ref-format, without what patterns of git describe give a meaning.
	tagPrefixPattern = lazy(`^[A-Za-z0-9_@+-]+([./][A-Za-z0-9_@+-]+)*[./]?$`)
	placeholder      = lazy(`\{[^}]*\}`)
)

// decided are the variables of the go command that the platform, or cgo:, stands for. Set otherwise, they would make a
// binary that is not what its image says.
var decided = []Name{"GOOS", "GOARCH", "GOARM", "GOARM64", "GOAMD64", "CGO_ENABLED"}

// Placeholders are what a file's from may say instead of a platform's own words.
func Placeholders() []string { return []string{"{os}", "{arch}", "{variant}"} }

func (r *reader) checkSettings(c *Config, at Path, s Settings, platforms []arch.Platform) {
	if s.Go != nil {
		r.checkPackage(at.to("go", "package"), s.Go.Package)
		for _, n := range decided {
			if _, ok := s.Go.Env[n]; ok {
				r.fail(at.to("go", "env", string(n)), "platforms: and cgo: decide it", "cannot be set")
			}
		}
	}
	for i, f := range s.Files {
		r.checkFile(at.to("files", i), f)
	}
	r.checkDirectories(at, s)
	r.checkBaseChoice(c, at.to("base"), s.Base, platforms)
	if len(s.Entrypoint) > 0 && s.Entrypoint[0] == "" {
		r.fail(at.to("entrypoint", 0), "name the program", "is empty")
	}
	if s.User != "" && !userPattern().MatchString(string(s.User)) {
		r.fail(at.to("user"), "write a name or uid, then :group or :gid if wanted, such as nonroot or 65532:65532", "%q is not a user", s.User)
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
		r.fail(at.to("stop_signal"), "write it as SIGTERM, SIGRTMIN+3 or 15", "%q is not a signal", s.StopSignal)
	}
}

// checkPackage accepts a directory below the configuration's tree, written with ./, or an import path.
func (r *reader) checkPackage(at Path, pkg string) {
	switch {
	case pkg == "":
	case path.IsAbs(pkg) || strings.HasPrefix(path.Clean(pkg), "../") || path.Clean(pkg) == "..":
		r.fail(at, "write a directory below the top of the tree, such as ./app/hello, or an import path", "%q leaves the tree", pkg)
	case strings.Contains(pkg, "...") || strings.ContainsAny(pkg, " \t\n\\@") || strings.HasPrefix(pkg, "-"):
		r.fail(at, "write one directory such as ./app/hello, or one import path", "%q is not a package", pkg)
	}
}

func (r *reader) checkFile(at Path, f File) {
	from := at.to("from")
	switch clean := path.Clean(f.From); {
	case f.From == "":
		r.fail(from, "name a file or directory", "is empty")
	case path.IsAbs(f.From) || clean == ".." || strings.HasPrefix(clean, "../"):
		r.fail(from, "write a path below the top of the tree", "%q leaves the tree", f.From)
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
			r.fail(at.to("glob", i), "such as **/*.py, or !**/*_test.py", "%q is not a pattern", g)
		}
	}
}

// checkInside accepts an absolute path of the image.
func (r *reader) checkInside(at Path, p string) {
	clean := path.Clean(p)
	switch {
	case !path.IsAbs(p):
		r.fail(at, "write it from the root of the image, such as /app", "%q is not an absolute path", p)
	case clean != p && clean+"/" != p:
		r.fail(at, fmt.Sprintf("write %q", clean), "%q is not a clean path", p)
	}
}

func (r *reader) checkPush(at Path, p Push) {
	r.checkRepositories(at.to("repository"), p.Repository)
	r.checkImmutable(at.to("immutable"), p.Immutable)
	if p.Tags != nil && len(p.Tags) == 0 {
		r.fail(at.to("tags"), "remove the key for latest, or name a tag", "has no tag")
	}
	if p.TagPrefix != "" && !tagPrefixPattern().MatchString(p.TagPrefix) {
		r.fail(at.to("tag_prefix"), "write what the tags of the image begin with, such as server/ or server-", "%q is not a prefix of git tags", p.TagPrefix)
	}
	seen := map[Template]bool{}
	for i, t := range p.Tags {
		if !strings.Contains(string(t), "{{") && !tagPattern().MatchString(string(t)) {
			r.fail(at.to("tags", i), "use letters, digits, and . _ -, 128 at most, with none of . - in front", "%q is not a tag", t)
		}
		if seen[t] {
			r.fail(at.to("tags", i), "", "duplicate tag %q", t)
		}
		seen[t] = true
	}
}

// checkCollisions refuses two images that would move the same tag of the same repository.
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
				r.fail(Path{"images", n, "push"}, "give one of them another repository or other tags", "collides with images.%s: both push %s:%s", other, t.repository, t.tag)
				break
			}
			owner[t] = n
		}
	}
}

// alone tells whether a repository names its registry, by docker's rule for the first part of a reference.
func alone(repository string) bool {
	host, _ := reference.Split(repository)
	return host != ""
}

func (p *Push) tags() []Template {
	if p == nil || p.Tags == nil {
		return []Template{"latest"}
	}
	return p.Tags
}

// Tags returns the tags of an image, latest where it names none.
func (c *Config) Tags(image string) []Template { return c.Images[image].Push.tags() }
