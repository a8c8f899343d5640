// Package ci generates pipelines for GitHub, GitLab and Jenkins that build and release the images in multiarch.yaml. A
// pipeline previews every proposed change and publishes a release for every version tag. The package turns Options into
// text, without access to files or networks.
package ci

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// System is a CI system.
type System string

// Supported systems.
const (
	GitHub  System = "github"
	GitLab  System = "gitlab"
	Jenkins System = "jenkins"
)

// Systems returns all supported systems in display order.
func Systems() []System { return []System{GitHub, GitLab, Jenkins} }

// Engine is the engine that builds images.
type Engine string

// Supported engines.
const (
	Embedded Engine = "embedded"
	Bazel    Engine = "bazel"
)

// Options describe a pipeline.
type Options struct {
	System System
	Engine Engine
	// Split builds each architecture's platforms on a native runner and joins them in a final job. Otherwise a single
	// job builds everything.
	Split bool
	// Runners maps GOARCH values to runner labels. The default is the system's hosted runners. Without Split, the job
	// runs on the runner for amd64 or the first one, or on any runner if Runners is nil and the system supports that.
	Runners map[string]string
	// Images are the images in the configuration.
	Images []Image
	// Registries are the hosts to log in to.
	Registries []string
	// Registry overrides the registry in the configuration for releases.
	Registry string
	// Lock reports whether there are bases to lock.
	Lock bool
	// Multiarch and Bazelisk are the commands to run, including their first arguments.
	Multiarch, Bazelisk string
	// Package is the Bazel package of the images, such as images. Its target push pushes all of them.
	Package string
	// GoVersion is a Go version such as 1.26. On GitHub, "" uses the version in go.mod.
	GoVersion string
	// Check are the arguments of `multiarch ci` to which the pipeline adds --check, or "" if the pipeline is not in a
	// file.
	Check string
	// Command is the command in the header that regenerates the file.
	Command string
}

// Image is an image in the configuration.
type Image struct {
	Name string
	// Platforms are the platforms to build. An image that joins existing images has none.
	Platforms []arch.Platform
	// Smoke reports whether the image has a smoke test.
	Smoke bool
}

// Marker is in the first line of every generated file and distinguishes it from other files.
const Marker = "Written by: multiarch ci"

// Path returns the file in the repository from which the system reads its pipeline.
func (s System) Path() string {
	return map[System]string{
		GitHub:  ".github/workflows/multiarch.yml",
		GitLab:  ".gitlab-ci.yml",
		Jenkins: "Jenkinsfile",
	}[s]
}

//go:embed templates
var templates embed.FS

// Write returns the pipeline.
func Write(o Options) ([]byte, error) {
	if o.System.Path() == "" {
		return nil, &UnknownError{"system", string(o.System), []string{string(GitHub), string(GitLab), string(Jenkins)}}
	}
	if o.Engine != Embedded && o.Engine != Bazel {
		return nil, &UnknownError{"engine", string(o.Engine), []string{string(Embedded), string(Bazel)}}
	}
	if o.System == GitLab && o.GoVersion == "" {
		return nil, errors.New("a GitLab pipeline requires a Go version")
	}
	if err := o.checkRunners(); err != nil {
		return nil, err
	}
	if err := o.checkLogins(); err != nil {
		return nil, err
	}
	for _, command := range []string{o.Multiarch, o.Bazelisk, o.Command, o.Check} {
		if notInCommands.MatchString(command) {
			return nil, &CommandError{command}
		}
	}
	if err := o.checkValues(); err != nil {
		return nil, err
	}
	jobs, err := o.jobs()
	if err != nil {
		return nil, err
	}
	// GitHub uses the default delimiters for expressions.
	var t *template.Template
	t = template.New(string(o.System)).Delims("[[", "]]").Funcs(template.FuncMap{
		"indent": func(n int, lines []string) string { return strings.Join(lines, "\n"+strings.Repeat(" ", n)) },
		"join":   strings.Join,
		"action": action,
		"yaml":   yamlString,
		"groovy": groovyString,
		"script": groovyText,
		"nested": func(n int, name string, data any) (string, error) {
			var out bytes.Buffer
			err := t.ExecuteTemplate(&out, name, data)
			return strings.ReplaceAll(out.String(), "\n", "\n"+strings.Repeat(" ", n)), err
		},
	})
	if t, err = t.ParseFS(templates, "templates/"+string(o.System)); err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	var out bytes.Buffer
	err = t.ExecuteTemplate(&out, string(o.System), struct {
		Options
		Marker string
		Jobs   []job
	}{o, Marker, jobs})
	if err != nil {
		return nil, fmt.Errorf("writing the pipeline: %w", err)
	}
	return out.Bytes(), nil
}

// plainLabel matches a runner label, or a label expression of Jenkins, that needs no quotes in any of the files.
var plainLabel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/ &|+-]*$`)

func (o Options) checkRunners() error {
	var known []string
	for _, row := range arch.Table() {
		if a := row.Platform.Architecture; !slices.Contains(known, a) {
			known = append(known, a)
		}
	}
	for _, a := range slices.Sorted(maps.Keys(o.Runners)) {
		if !slices.Contains(known, a) {
			return &UnknownError{"architecture", a, known}
		}
		if !plainLabel.MatchString(o.Runners[a]) {
			return &LabelError{a, o.Runners[a]}
		}
	}
	return nil
}

// notInCommands matches line breaks (including those that only YAML recognizes), the end of scripts and strings in a
// Jenkinsfile, and expressions that GitHub and GitLab expand.
var notInCommands = regexp.MustCompile(`[\x00-\x1f\x7f\x{85}\x{2028}\x{2029}\x{feff}\\]|'''|\$\{\{|\$\[\[`)

var (
	// plainPackage matches a Bazel package that is also a plain path.
	plainPackage = regexp.MustCompile(`^([A-Za-z0-9._][A-Za-z0-9._/-]*)?$`)
	plainVersion = regexp.MustCompile(`^([0-9]+(\.[0-9]+)*((rc|beta)[0-9]+)?)?$`)
)

// checkValues rejects values that could be misinterpreted in a pipeline, although they are also quoted there.
func (o Options) checkValues() error {
	hosts := slices.Clone(o.Registries)
	if o.Registry != "" {
		host, path := reference.Split(o.Registry + "/image")
		if host != "" {
			hosts = append(hosts, host)
		}
		if err := reference.CheckPath(path); err != nil {
			return err
		}
	}
	for _, host := range hosts {
		if err := reference.CheckHost(host); err != nil {
			return err
		}
	}
	if !plainPackage.MatchString(o.Package) {
		return fmt.Errorf("invalid Bazel package %q", o.Package)
	}
	if !plainVersion.MatchString(o.GoVersion) {
		return fmt.Errorf("invalid Go version %q", o.GoVersion)
	}
	return nil
}

// CommandError reports a command that a pipeline would misinterpret.
type CommandError struct{ Command string }

func (e *CommandError) Error() string {
	return fmt.Sprintf("invalid command %q", e.Command)
}

// Hint returns how to fix the error.
func (e *CommandError) Hint() string {
	return "write it in one line without backslashes, ''', ${{ and $[[, or move it to a script in the repository"
}

// LabelError reports a runner label that a pipeline would misinterpret.
type LabelError struct{ Arch, Label string }

func (e *LabelError) Error() string {
	return fmt.Sprintf("invalid runner label %q for %s", e.Label, e.Arch)
}

// Hint returns how to fix the error.
func (e *LabelError) Hint() string { return "use letters, digits, spaces and . _ / & | + -" }

// UnknownError reports an unknown system, engine or architecture.
type UnknownError struct {
	Kind, Word string
	Known      []string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown %s %q", e.Kind, e.Word) }

// Hint returns the known values.
func (e *UnknownError) Hint() string { return suggest.Hint(e.Word, e.Known) }
