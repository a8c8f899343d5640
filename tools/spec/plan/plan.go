// Package plan resolves a configuration into what has to be built: a Plan lists the images and, for
// each platform, the base, files, compiler flags and settings, with all defaults and references
// resolved. New reads and writes nothing. Both engines, the embedded one and Bazel, execute the
// same Plan.
package plan

import (
	"time"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// Names of the built-in bases.
const (
	Scratch = config.Scratch
	Static  = config.Static
)

// Plan lists the selected images, sorted by name.
type Plan struct {
	Images []Image `json:"images"`
}

// Image describes one image index.
type Image struct {
	Name string `json:"name"`
	// Children describe the images in the index, in table order.
	Children []Child `json:"children"`
	// From lists the existing images to join. An image with From has no Children.
	From []From `json:"from,omitempty"`
	// Platforms are the requested platforms if From does not list them; empty means all.
	Platforms   []arch.Platform   `json:"platforms,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Push        Push              `json:"push"`
	// Smoke is the test of each child, or nil if none is configured.
	Smoke *config.Smoke `json:"-"`
}

// From is an existing image or index to join. Tags are resolved when it is joined.
type From struct {
	Reference string `json:"reference"`
	// Platform is zero if the image declares its own.
	Platform arch.Platform `json:"platform,omitzero"`
}

// Push lists the destinations of an index. Tags and PerPlatform are unexpanded templates, because
// their values may only be known when pushing.
type Push struct {
	Registry    string                  `json:"registry,omitempty"`
	Repository  string                  `json:"repository"`
	Tags        []config.Template       `json:"tags"`
	PerPlatform config.PlatformTemplate `json:"perPlatform,omitempty"`
	// Further lists additional repositories, including those on mirrors.
	Further []string `json:"further,omitempty"`
	// Redirected lists the original names of Repository and Further if the options set another
	// registry.
	Redirected []config.Redirection `json:"redirected,omitempty"`
	// Immutable lists path.Match patterns of tags that must not be moved.
	Immutable []string `json:"immutable,omitempty"`
}

// Child describes the image for one platform.
type Child struct {
	Platform    arch.Platform `json:"platform"`
	Base        Base          `json:"base"`
	Files       []File        `json:"files,omitempty"`
	Directories []Directory   `json:"directories,omitempty"`
	Links       []Link        `json:"links,omitempty"`
	// RequiredDirs are the directories that must exist, sorted: the working directory and the volumes.
	RequiredDirs []string `json:"needed,omitempty"`
	Go           *Go      `json:"go,omitempty"`
	// Bazel is the label of the binary. It is only set in plans for the Bazel engine.
	Bazel string `json:"bazel,omitempty"`
	// BazelPath is the path of that binary in the image.
	BazelPath string         `json:"bazelPath,omitempty"`
	Config    image.Settings `json:"config"`
	// Annotations apply to the manifest.
	Annotations map[string]string  `json:"annotations,omitempty"`
	Compression config.Compression `json:"compression"`
	// Epoch is the modification time of all files in the layers.
	Epoch time.Time `json:"epoch"`
}

// Base is the base image of a child. Exactly one of Builtin, Image and Debian is set.
type Base struct {
	Name string `json:"name"`
	// Builtin is scratch or static.
	Builtin string      `json:"builtin,omitempty"`
	Image   *BaseImage  `json:"image,omitempty"`
	Debian  *BaseDebian `json:"debian,omitempty"`
}

// BaseImage is a base image in a registry, as recorded in the lock file.
type BaseImage struct {
	// Reference includes the digest of the index; see lock.Image.
	Reference string `json:"reference"`
	lock.Child
}

// BaseDebian is a base made of Debian packages, as recorded in the lock file.
type BaseDebian struct {
	Suite        string         `json:"suite"`
	Mirror       string         `json:"mirror,omitempty"` // "" for the machine's own sources
	Slim         bool           `json:"slim,omitempty"`
	Architecture string         `json:"architecture"` // Debian's name of the architecture
	Packages     []lock.Package `json:"packages"`
	// Locked is the base for all architectures. It identifies the archives of the packages.
	Locked *lock.Debian `json:"-"`
}

// File copies From, relative to the source tree, to To in the image. If To ends in a slash, it is a
// directory.
type File struct {
	From string   `json:"from"`
	To   string   `json:"to"`
	Glob []string `json:"glob,omitempty"`
	Mode uint32   `json:"mode,omitempty"`
	UID  int      `json:"uid,omitempty"`
	GID  int      `json:"gid,omitempty"`
	// Capabilities apply to every file, in setcap notation.
	Capabilities string `json:"capabilities,omitempty"`
}

// Directory is a directory to create. If the base has it, Mode and Owner replace those of the base
// when set.
type Directory struct {
	Path  string        `json:"path"`
	Mode  uint32        `json:"mode,omitempty"`
	Owner *config.Owner `json:"owner,omitempty"`
}

// Link is a symbolic link to create.
type Link struct {
	Path string `json:"path"`
	To   string `json:"to"`
}

// Go is a main package to compile and the path of its binary in the image.
type Go struct {
	Package string   `json:"package"`
	Path    string   `json:"path"`
	Ldflags []string `json:"ldflags,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	Env     []string `json:"env,omitempty"` // NAME=value, sorted
	Cgo     bool     `json:"cgo,omitempty"`
	// Capabilities apply to the program, in setcap notation.
	Capabilities string `json:"capabilities,omitempty"`
}

// Options select parts of the configuration and supply values that it does not contain.
type Options struct {
	// Images are the names of the images to plan; empty means all.
	Images []string
	// Platforms are the platforms to plan; empty means all of each image. A platform that an image
	// lacks is an error.
	Platforms []arch.Platform
	// Registry replaces all registries of the configuration if set.
	Registry string
	// Epoch is the value of SOURCE_DATE_EPOCH; zero means 1970-01-01.
	Epoch time.Time
	// Lock is the lock file, or nil if there is none.
	Lock *lock.File
	// Static is the static base that this version of multiarch builds. New fails if the lock
	// records another one.
	Static *lock.Static
	// Vars are the values for templates of compiler flags, labels, annotations and environments,
	// and for `created: commit`. New sets Image, Registry, Repository, TagPrefix and Platform.
	Vars config.Vars
	// Bazel plans for the Bazel engine. Images that only have a Bazel label are allowed. Values
	// known only at build time are left open: templates are not expanded and `created: commit` is
	// the epoch, so that neither a checkout nor an environment is needed. If Vars has a Checkout,
	// annotations of indexes are expanded nevertheless, since images that Bazel has built may be
	// joined.
	Bazel bool
}
