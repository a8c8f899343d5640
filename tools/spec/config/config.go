// Package config reads multiarch.yaml: bytes in, a Config out, with the position of every node and all errors at once.
// The Go types are the only definition of the format; the reader and the JSON Schema are both derived from them.
package config

import (
	"maps"
	"slices"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// Config is a whole multiarch.yaml. The yaml tags name the keys; a key without omitempty is required.
type Config struct {
	Version    int                 `yaml:"version" jsonschema:"enum=1" jsonschema_description:"The version of this format: 1."`
	Registry   string              `yaml:"registry,omitempty" jsonschema_description:"Where images go: a registry, with a path if wanted. --registry and MULTIARCH_REGISTRY win over it."`
	Mirrors    []string            `yaml:"mirrors,omitempty" jsonschema_description:"Further registries, with a path if wanted, that get every image as well. --registry and MULTIARCH_REGISTRY go without them."`
	Registries map[string]Registry `yaml:"registries,omitempty" jsonschema_description:"How registries are spoken to, by host."`
	Platforms  []arch.Platform     `yaml:"platforms,omitempty" jsonschema_description:"The platforms of every image that names none of its own."`
	Bases      map[string]Base     `yaml:"bases,omitempty" jsonschema_description:"What images can stand on, by name. scratch and static are always there."`
	Images     map[string]Image    `yaml:"images" jsonschema_description:"The images, by name."`

	source source
}

// Base is something an image can stand on. Exactly one of Builtin, Image and Debian is set.
type Base struct {
	Builtin string  `yaml:"builtin,omitempty" jsonschema:"enum=static,enum=scratch" jsonschema_description:"static (CA roots, time zones, passwd, /tmp) or scratch (nothing)."`
	Image   string  `yaml:"image,omitempty" jsonschema_description:"An image or index in a registry."`
	Debian  *Debian `yaml:"debian,omitempty" jsonschema_description:"Packages of a Debian suite, with what they depend on."`
	// Platforms stands beside Image alone.
	Platforms map[arch.Platform]Text `yaml:"platforms,omitempty" jsonschema_description:"Platforms for which the image's own word is another: {linux/arm/v7: linux/arm} takes the image that says no variant."`
}

// Debian is a base made of Debian packages.
type Debian struct {
	Suite      string   `yaml:"suite" jsonschema_description:"The suite, such as trixie. Its security and updates archives are included."`
	Packages   []string `yaml:"packages" jsonschema_description:"The packages wanted."`
	Exclude    []string `yaml:"exclude,omitempty" jsonschema_description:"Packages to leave out although something depends on them."`
	Components []string `yaml:"components,omitempty" jsonschema_description:"The components of the suite; default: main."`
	Mirror     string   `yaml:"mirror,omitempty" jsonschema_description:"The mirror; default: the machine's own apt sources."`
	// Security is where security updates come from.
	Security Security `yaml:"security,omitempty" jsonschema_description:"false locks the suite alone, without its security and updates archives; a URL is the mirror of its security archive; default: true."`
	Keyring  string   `yaml:"keyring,omitempty" jsonschema_description:"A file of OpenPGP public keys, one of which must have signed every Release; default: the keys of Debian's archive."`
	// CheckValidUntil is nil if it is not given.
	CheckValidUntil *bool `yaml:"check_valid_until,omitempty" jsonschema_description:"false accepts a Release after its Valid-Until, for archives that are frozen; default: true."`
	Slim            bool  `yaml:"slim,omitempty" jsonschema_description:"Leave out documentation, man pages and locales; licences stay."`
}

// Image is one image index: what stands in it, for which platforms, and where it goes.
type Image struct {
	Settings  `yaml:",inline"`
	Bazel     string                     `yaml:"bazel,omitempty" jsonschema_description:"The Bazel label of the binary, where it is not the one the rules would guess."`
	From      FromChoice                 `yaml:"from,omitempty" jsonschema_description:"Existing images to join: references by platform, or a list of references whose own platforms count. They are under the registry as push.repository is."`
	Platforms []arch.Platform            `yaml:"platforms,omitempty" jsonschema_description:"The platforms of this image; default: those at the top of the file."`
	Overrides map[arch.Platform]Settings `yaml:"overrides,omitempty" jsonschema_description:"Settings that differ on one platform. Files are added to the image's, maps are merged key by key, anything else replaces."`
	Push      *Push                      `yaml:"push,omitempty" jsonschema_description:"Where the image goes."`
	Smoke     *Smoke                     `yaml:"smoke,omitempty" jsonschema_description:"How every platform's image is tried out before a release, by multiarch release --smoke."`
}

// Settings are the fields of an image that a platform may override. The zero value of each means that it was not given;
// an empty list that was given is not nil.
type Settings struct {
	Go          *Go                    `yaml:"go,omitempty" jsonschema_description:"A Go main package to compile and put in."`
	Files       []File                 `yaml:"files,omitempty" jsonschema_description:"Files and directories to put in."`
	Directories []Directory            `yaml:"directories,omitempty" jsonschema_description:"Directories to create, such as those for data. Those of overrides are added, and replace one of the same path."`
	Links       []Link                 `yaml:"links,omitempty" jsonschema_description:"Symbolic links to create. Those of overrides are added, and replace one of the same path."`
	Base        BaseChoice             `yaml:"base,omitempty" jsonschema_description:"The name of a base, or names by platform: {default: static, windows/amd64: nano}; default: static."`
	Entrypoint  []string               `yaml:"entrypoint,omitempty" jsonschema_description:"The program to run, and its first arguments; default: the Go binary, at /app/<image>."`
	Cmd         []string               `yaml:"cmd,omitempty" jsonschema_description:"Arguments that a user of the image can replace."`
	Env         map[Name]ValueTemplate `yaml:"env,omitempty" jsonschema_description:"Environment variables, with templates such as {{.Git.Describe}}. $NAME and ${NAME} are those of the base, such as PATH: /extra/bin:$PATH; $$ is a dollar sign."`
	User        Text                   `yaml:"user,omitempty" jsonschema_description:"The user to run as: name or uid, then :group or :gid if wanted."`
	Workdir     string                 `yaml:"workdir,omitempty" jsonschema_description:"The directory to start in."`
	Ports       []Port                 `yaml:"ports,omitempty" jsonschema_description:"Ports the program listens on, such as 8080/tcp."`
	Volumes     []string               `yaml:"volumes,omitempty" jsonschema_description:"Directories meant to be mounted."`
	Labels      map[Text]ValueTemplate `yaml:"labels,omitempty" jsonschema_description:"Labels in the image config, with templates such as {{.Git.Commit}}; any other {{ is literal."`
	Annotations map[Text]ValueTemplate `yaml:"annotations,omitempty" jsonschema_description:"Annotations on each manifest and on the index, with templates such as {{.Git.Commit}}; any other {{ is literal."`
	StopSignal  string                 `yaml:"stop_signal,omitempty" jsonschema_description:"The signal that asks the program to end, such as SIGINT."`
	Healthcheck *Healthcheck           `yaml:"healthcheck,omitempty" jsonschema_description:"How a container runtime finds out whether a container works; default: as the base says. In overrides it is merged key by key."`
	Created     Created                `yaml:"created,omitempty" jsonschema_description:"The creation time to record: epoch (default), commit, or a time in RFC 3339."`
	Compression Compression            `yaml:"compression,omitempty" jsonschema_description:"How layers are compressed: gzip (default) or zstd."`
	// Allow is about the checks of the finished image, and changes none of its bytes.
	Allow []finding.Kind `yaml:"allow,omitempty" jsonschema_description:"Kinds of problems with which the image is built and published nevertheless."`
}

// Go is a Go main package and how it is compiled. -trimpath is always given.
type Go struct {
	Package string             `yaml:"package,omitempty" jsonschema_description:"The main package: a directory such as ./app/hello, or an import path from the module graph."`
	Ldflags []PlatformTemplate `yaml:"ldflags,omitempty" jsonschema_description:"Linker flags, with templates: -X main.version={{.Git.Describe}}, which is v1.0.0 on that tag and v1.0.0-3-gabcdef1 after it. Default: -s -w, no symbols for debuggers."`
	Tags    []string           `yaml:"tags,omitempty" jsonschema_description:"Build tags."`
	Env     map[Name]Text      `yaml:"env,omitempty" jsonschema_description:"Environment of the go command, such as GOEXPERIMENT."`
	// Capabilities are those of the compiled program.
	Capabilities Capabilities `yaml:"capabilities,omitempty" jsonschema_description:"File capabilities of the program, as setcap takes them, such as cap_net_bind_service=+ep."`
	Cgo          *bool        `yaml:"cgo,omitempty" jsonschema_description:"Compile with cgo; default: false. The C compiler is CC of env, else CC_ARCH of the environment, else the cross compiler of Debian."`
}

// File puts a file, or what is in a directory, into the image.
type File struct {
	From  string   `yaml:"from" jsonschema_description:"A file or directory; every .git below a directory is left out. {os}, {arch} and {variant} stand for the platform's."`
	To    string   `yaml:"to" jsonschema_description:"The absolute path in the image. A file goes into it where it ends in a slash; a directory's content always does."`
	Glob  []string `yaml:"glob,omitempty" jsonschema_description:"Only files whose path below from matches one of these; ** matches directories, a leading ! excludes."`
	Mode  Mode     `yaml:"mode,omitempty" jsonschema_description:"The permission bits of files, in octal; default: 0755 for executables, 0644 for others. A directory that from: creates gets them too, and can be searched by whoever can read it. Directories of the base keep theirs."`
	Owner Owner    `yaml:"owner,omitempty" jsonschema_description:"uid or uid:gid of the files, and of the directories that from: creates, to: included; default: 0:0. Directories of the base keep theirs."`
	// Capabilities are those of every file.
	Capabilities Capabilities `yaml:"capabilities,omitempty" jsonschema_description:"File capabilities of the files, as setcap takes them, such as cap_net_bind_service=+ep."`
}

// Directory creates a directory in the image. If the base has it, only what is given changes.
type Directory struct {
	Path  string `yaml:"path" jsonschema_description:"The absolute path in the image."`
	Owner *Owner `yaml:"owner,omitempty" jsonschema_description:"uid or uid:gid; default: 0:0, or the owner that the directory has in the base."`
	Mode  Mode   `yaml:"mode,omitempty" jsonschema_description:"The permission bits, in octal; default: 0755, or the mode that the directory has in the base."`
}

// Link creates a symbolic link in the image.
type Link struct {
	Path string `yaml:"path" jsonschema_description:"The absolute path of the link."`
	To   string `yaml:"to" jsonschema_description:"What it points to: an absolute path, or one relative to the directory of the link."`
}

// Push is where an image index goes, and under which names.
type Push struct {
	Repository  Repositories     `yaml:"repository,omitempty" jsonschema_description:"One, or a list. Under the registry; a full reference (its first part has a dot, a colon or is localhost) stands alone; default: the image's name."`
	Tags        []Template       `yaml:"tags,omitempty" jsonschema_description:"Tags, with templates; one that is empty is left out, such as {{.Git.Tag}} of a commit that has no tag; default: latest."`
	PerPlatform PlatformTemplate `yaml:"per_platform,omitempty" jsonschema_description:"Push every platform's image as a repository of its own as well, named by this template."`
	TagPrefix   string           `yaml:"tag_prefix,omitempty" jsonschema_description:"The prefix of the git tags that are about this image, such as server/ in a monorepo. {{.Git.Tag}} and {{.Git.Describe}} look at no others, and leave the prefix out."`
	Immutable   Immutable        `yaml:"immutable,omitempty" jsonschema_description:"Tags that are never moved once they exist: true for all, or a list of patterns such as v*."`
}

// The names of the bases that need no definition.
const (
	Scratch = "scratch"
	Static  = "static"
)

// On returns the settings of an image on one platform: its own with the platform's overrides laid over them.
func (i Image) On(p arch.Platform) Settings {
	s := i.Settings
	if over, ok := i.Overrides[p]; ok {
		s = s.with(over)
	}
	s.Base = BaseChoice{Name: s.Base.On(p)}
	if p.OS == windowsOS {
		s = s.onWindows(i.Env, i.Overrides[p].Env)
	}
	return s
}

// IsEmpty tells whether nothing is put into an image on one platform.
func (i Image) IsEmpty(p arch.Platform) bool {
	s := i.Settings
	if over, ok := i.Overrides[p]; ok {
		s = s.with(over)
	}
	return !s.HasContent() && i.Bazel == ""
}

// HasContent tells whether anything is put into the image.
func (s Settings) HasContent() bool {
	return s.Go != nil || s.Files != nil || s.Directories != nil || s.Links != nil
}

// BaseOf returns the base called name; ok is false where none is.
func (c *Config) BaseOf(name string) (b Base, ok bool) {
	if b, ok = c.Bases[name]; ok {
		return b, true
	}
	if name == Scratch || name == Static {
		return Base{Builtin: name}, true
	}
	return Base{}, false
}

// PlatformsOf returns the platforms of an image, as written. Those of a list of existing images are only known when these
// are read: there are none then, unless the image names what it wants of them.
func (c *Config) PlatformsOf(image string) []arch.Platform {
	i := c.Images[image]
	if i.Platforms != nil || i.From.List != nil {
		return i.Platforms
	}
	if i.From.ByPlatform != nil {
		return slices.SortedFunc(maps.Keys(i.From.ByPlatform), byTable)
	}
	return c.Platforms
}
