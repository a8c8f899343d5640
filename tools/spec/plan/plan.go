// Package plan says what has to be made: Config x architecture table -> Plan, with every default and every reference
// resolved, sorted, and nothing read or written on the way. Both engines carry out the same plan.
package plan

import (
	"time"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// The built-in bases.
const (
	Scratch = config.Scratch
	Static  = config.Static
)

// Plan is everything that was asked for, images by name.
type Plan struct {
	Images []Image `json:"images"`
}

// Image becomes one image index.
type Image struct {
	Name string `json:"name"`
	// Children become the images of the index, in table order.
	Children []Child `json:"children"`
	// From are existing images that are joined; there are no Children then.
	From []From `json:"from,omitempty"`
	// Platforms are those wanted of From where it says itself which it has; none means all.
	Platforms   []arch.Platform   `json:"platforms,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Push        Push              `json:"push"`
	// Smoke is how each child shows that it works; nil where the configuration does not say.
	Smoke *config.Smoke `json:"-"`
}

// From is an existing image or index that goes into another index. What a tag stands for is found out when it is joined.
type From struct {
	Reference string `json:"reference"`
	// Platform is what it is for, zero where it says so itself.
	Platform arch.Platform `json:"platform,omitzero"`
}

// Push is where an index goes. Tags and PerPlatform are still templates: what they say may be known only at the moment
// of pushing.
type Push struct {
	Registry    string                  `json:"registry,omitempty"`
	Repository  string                  `json:"repository"`
	Tags        []config.Template       `json:"tags"`
	PerPlatform config.PlatformTemplate `json:"perPlatform,omitempty"`
	// Further are the other repositories that get the same, those on mirrors included.
	Further []string `json:"further,omitempty"`
	// Redirected says what Repository and Further take the place of, if another registry than the configuration's is given.
	Redirected []config.Redirection `json:"redirected,omitempty"`
	// Immutable are patterns, as path.Match has them, of tags that never come to stand for something else.
	Immutable []string `json:"immutable,omitempty"`
}

// Child becomes one image.
type Child struct {
	Platform    arch.Platform `json:"platform"`
	Base        Base          `json:"base"`
	Files       []File        `json:"files,omitempty"`
	Directories []Directory   `json:"directories,omitempty"`
	Links       []Link        `json:"links,omitempty"`
	// Needed are directories that have to exist, sorted: the working directory and the volumes.
	Needed []string `json:"needed,omitempty"`
	Go     *Go      `json:"go,omitempty"`
	// Bazel is the label that bazel: gives the binary. Only a plan for the Bazel engine has it.
	Bazel  string         `json:"bazel,omitempty"`
	Config image.Settings `json:"config"`
	// Annotations of the manifest.
	Annotations map[string]string  `json:"annotations,omitempty"`
	Compression config.Compression `json:"compression"`
	// Epoch is the modification time of everything in the layers.
	Epoch time.Time `json:"epoch"`
}

// Base is what a child stands on. One of Builtin, Image and Debian is set.
type Base struct {
	Name string `json:"name"`
	// Builtin is scratch or static.
	Builtin string      `json:"builtin,omitempty"`
	Image   *BaseImage  `json:"image,omitempty"`
	Debian  *BaseDebian `json:"debian,omitempty"`
}

// BaseImage is an image in a registry, as the lock has it.
type BaseImage struct {
	// Reference has the digest of the index; see lock.Image.
	Reference string `json:"reference"`
	lock.Child
}

// BaseDebian are Debian packages, as the lock has them.
type BaseDebian struct {
	Suite        string         `json:"suite"`
	Mirror       string         `json:"mirror,omitempty"` // "" for the machine's own
	Slim         bool           `json:"slim,omitempty"`
	Architecture string         `json:"architecture"` // Debian's word
	Packages     []lock.Package `json:"packages"`
	// Locked is the base for all architectures. It tells which archives the packages are from.
	Locked *lock.Debian `json:"-"`
}

// File puts From, below the top of the tree, to To in the image. Where To ends in a slash, a file goes into it.
type File struct {
	From string   `json:"from"`
	To   string   `json:"to"`
	Glob []string `json:"glob,omitempty"`
	Mode uint32   `json:"mode,omitempty"`
	UID  int      `json:"uid,omitempty"`
	GID  int      `json:"gid,omitempty"`
	// Capabilities of every file, in the form of setcap.
	Capabilities string `json:"capabilities,omitempty"`
}

// Directory is created unless the base has it; what is given holds for that of the base as well.
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

// Go compiles Package and puts the binary to Path.
type Go struct {
	Package string   `json:"package"`
	Path    string   `json:"path"`
	Ldflags []string `json:"ldflags,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	Env     []string `json:"env,omitempty"` // NAME=value, sorted
	Cgo     bool     `json:"cgo,omitempty"`
	// Capabilities of the program, in the form of setcap.
	Capabilities string `json:"capabilities,omitempty"`
}

// Options narrow a plan and supply what the configuration leaves to the moment.
type Options struct {
	// Images are the names wanted; none means all.
	Images []string
	// Platforms are those wanted; none means all that each image has. An image that lacks one is an error.
	Platforms []arch.Platform
	// Registry, if set, takes the place of every registry of the configuration: nothing is published outside it.
	Registry string
	// Epoch is the time that stands for the epoch, as SOURCE_DATE_EPOCH gives it; the zero value is 1970-01-01.
	Epoch time.Time
	// Lock is what bases are; nil where there is no multiarch.lock.
	Lock *lock.File
	// Static is the static base that this multiarch makes. If the lock records another one, the plan fails.
	Static *lock.Static
	// Vars fill the templates of compiler flags, labels, annotations and environments, and `created: commit`. Image,
	// Registry, Repository, TagPrefix and Platform are filled in by the plan.
	Vars config.Vars
	// Bazel plans for the Bazel engine: images of a Bazel label alone are let through, and what is only known when
	// something is built stays open (templates stay as written, `created: commit` is the epoch), so that a plan needs
	// neither a checkout nor an environment. If Vars has a Checkout, annotations of indexes are filled all the same: what
	// Bazel has built may be joined.
	Bazel bool
}
