// Package config reads multiarch.yaml. Parse turns bytes into a Config, records the position of
// every node and reports all errors at once. The Go types are the only definition of the format:
// the parser and the JSON Schema are both derived from them. Package plan resolves a Config into
// what is built per platform.
package config

import (
	"maps"
	"slices"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

// Config is the content of a multiarch.yaml. The yaml tags name the keys; a key without omitempty
// is required. Package-level descriptions supply the text of the JSON Schema.
type Config struct {
	Version    int                 `yaml:"version" jsonschema:"enum=1"`
	Registry   string              `yaml:"registry,omitempty"`
	Mirrors    []string            `yaml:"mirrors,omitempty"`
	Registries map[string]Registry `yaml:"registries,omitempty"`
	Platforms  []arch.Platform     `yaml:"platforms,omitempty"`
	Bases      map[string]Base     `yaml:"bases,omitempty"`
	Images     map[string]Image    `yaml:"images"`

	source source
}

// Base is a base image. Exactly one of Builtin, Image and Debian is set.
type Base struct {
	Builtin string  `yaml:"builtin,omitempty" jsonschema:"enum=static,enum=scratch"`
	Image   string  `yaml:"image,omitempty"`
	Debian  *Debian `yaml:"debian,omitempty"`
	// Platforms may only be set together with Image.
	Platforms map[arch.Platform]Text `yaml:"platforms,omitempty"`
}

// Debian is a base assembled from Debian packages.
type Debian struct {
	Suite      string   `yaml:"suite"`
	Packages   []string `yaml:"packages"`
	Exclude    []string `yaml:"exclude,omitempty"`
	Components []string `yaml:"components,omitempty"`
	Mirror     string   `yaml:"mirror,omitempty"`
	// Security selects the archive for security updates.
	Security Security `yaml:"security,omitempty"`
	Keyring  string   `yaml:"keyring,omitempty"`
	// CheckValidUntil is nil if not set.
	CheckValidUntil *bool `yaml:"check_valid_until,omitempty"`
	Slim            bool  `yaml:"slim,omitempty"`
}

// Image is one image index: its content, its platforms and its repositories.
type Image struct {
	Settings  `yaml:",inline"`
	Bazel     string                     `yaml:"bazel,omitempty"`
	From      FromChoice                 `yaml:"from,omitempty"`
	Platforms []arch.Platform            `yaml:"platforms,omitempty"`
	Overrides map[arch.Platform]Settings `yaml:"overrides,omitempty"`
	Push      *Push                      `yaml:"push,omitempty"`
	Smoke     *Smoke                     `yaml:"smoke,omitempty"`
}

// Settings are the fields of an image that a platform may override. The zero value of a field means
// that it is not set; an empty list that was given explicitly is not nil.
type Settings struct {
	Go          *Go                    `yaml:"go,omitempty"`
	Files       []File                 `yaml:"files,omitempty"`
	Directories []Directory            `yaml:"directories,omitempty"`
	Links       []Link                 `yaml:"links,omitempty"`
	Base        BaseChoice             `yaml:"base,omitempty"`
	Entrypoint  []string               `yaml:"entrypoint,omitempty"`
	Cmd         []string               `yaml:"cmd,omitempty"`
	Env         map[Name]ValueTemplate `yaml:"env,omitempty"`
	User        Text                   `yaml:"user,omitempty"`
	Workdir     string                 `yaml:"workdir,omitempty"`
	Ports       []Port                 `yaml:"ports,omitempty"`
	Volumes     []string               `yaml:"volumes,omitempty"`
	Labels      map[Text]ValueTemplate `yaml:"labels,omitempty"`
	Annotations map[Text]ValueTemplate `yaml:"annotations,omitempty"`
	StopSignal  string                 `yaml:"stop_signal,omitempty"`
	Healthcheck *Healthcheck           `yaml:"healthcheck,omitempty"`
	Created     Created                `yaml:"created,omitempty"`
	Compression Compression            `yaml:"compression,omitempty"`
	// Allow affects only the checks of the finished image, not its bytes.
	Allow []finding.Kind `yaml:"allow,omitempty"`
}

// Go is a Go main package and its compiler options. -trimpath is always set.
type Go struct {
	Package string             `yaml:"package,omitempty"`
	Ldflags []PlatformTemplate `yaml:"ldflags,omitempty"`
	Tags    []string           `yaml:"tags,omitempty"`
	Env     map[Name]Text      `yaml:"env,omitempty"`
	// Capabilities apply to the compiled program.
	Capabilities Capabilities `yaml:"capabilities,omitempty"`
	Cgo          *bool        `yaml:"cgo,omitempty"`
}

// File copies a file, or the content of a directory, into the image.
type File struct {
	From  string   `yaml:"from"`
	To    string   `yaml:"to"`
	Glob  []string `yaml:"glob,omitempty"`
	Mode  Mode     `yaml:"mode,omitempty"`
	Owner Owner    `yaml:"owner,omitempty"`
	// Capabilities apply to every file.
	Capabilities Capabilities `yaml:"capabilities,omitempty"`
}

// Directory creates a directory in the image. If the base already has it, only the given attributes
// change.
type Directory struct {
	Path  string `yaml:"path"`
	Owner *Owner `yaml:"owner,omitempty"`
	Mode  Mode   `yaml:"mode,omitempty"`
}

// Link creates a symbolic link in the image.
type Link struct {
	Path string `yaml:"path"`
	To   string `yaml:"to"`
}

// Push selects the repositories and tags of an image index.
type Push struct {
	Repository  Repositories     `yaml:"repository,omitempty"`
	Tags        []Template       `yaml:"tags,omitempty"`
	PerPlatform PlatformTemplate `yaml:"per_platform,omitempty"`
	TagPrefix   string           `yaml:"tag_prefix,omitempty"`
	Immutable   Immutable        `yaml:"immutable,omitempty"`
}

// Scratch and Static name the built-in bases.
const (
	Scratch = "scratch"
	Static  = "static"
)

// On returns the settings of an image for a platform: its own with the platform's overrides
// applied.
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

// IsEmpty reports whether an image has no content on a platform.
func (i Image) IsEmpty(p arch.Platform) bool {
	s := i.Settings
	if over, ok := i.Overrides[p]; ok {
		s = s.with(over)
	}
	return !s.HasContent() && i.Bazel == ""
}

// HasContent reports whether the settings put anything into the image.
func (s Settings) HasContent() bool {
	return s.Go != nil || s.Files != nil || s.Directories != nil || s.Links != nil
}

// BaseOf returns the base with the given name; ok is false if it is not defined.
func (c *Config) BaseOf(name string) (b Base, ok bool) {
	if b, ok = c.Bases[name]; ok {
		return b, true
	}
	if name == Scratch || name == Static {
		return Base{Builtin: name}, true
	}
	return Base{}, false
}

// PlatformsOf returns the platforms of an image as written. If from: is a list, they are only known
// once the images have been read; the result is then empty unless the image sets platforms.
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
