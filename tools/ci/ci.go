// Package ci writes the files by which GitHub, GitLab and Jenkins build and release what multiarch.yaml says. It
// knows nothing of files and networks: facts in, text out.
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

// System is what runs a pipeline.
type System string

// The systems that there are.
const (
	GitHub  System = "github"
	GitLab  System = "gitlab"
	Jenkins System = "jenkins"
)

// Systems are all of them, in the order in which they are listed to people.
func Systems() []System { return []System{GitHub, GitLab, Jenkins} }

// Engine is what builds images.
type Engine string

// The engines that there are.
const (
	Embedded Engine = "embedded"
	Bazel    Engine = "bazel"
)

// Options are the facts that a pipeline is made of.
type Options struct {
	System System
	Engine Engine
	// Split lets a native runner for each architecture build its platforms, and a last job join them. Else one job
	// builds everything.
	Split bool
	// Runners are the runners' labels by architecture (Go's word for it); nil for what the system offers everybody. The
	// single form runs on the one for amd64, or else on the first; on any where none is named and the system has such a
	// word.
	Runners map[string]string
	// Images are those of the configuration.
	Images []Image
	// Registries are the hosts to log in to.
	Registries []string
	// Registry is given to releases where it is not that of the configuration.
	Registry string
	// Lock is that there are bases to be locked.
	Lock bool
	// Multiarch and Bazelisk are the commands to run, with their first arguments.
	Multiarch, Bazelisk string
	// Package is the Bazel package of the images, such as images; that of pushes is push below it.
	Package string
	// GoVersion is a version of Go such as 1.26; on GitHub "" takes that of go.mod.
	GoVersion string
	// Check are the arguments of ci that, with --check, tell whether the file is up to date; "" if there is no file.
	Check string
	// Command is what writes this file again, for people who read it.
	Command string
}

// Image is an image of the configuration.
type Image struct {
	Name string
	// Platforms are those it is built for; none where it is joined from images that were built elsewhere.
	Platforms []arch.Platform
	// Smoke is that it has a smoke test.
	Smoke bool
}

// Marker is in the first line of every file, so that a file by somebody else is not taken for one.
const Marker = "Written by: multiarch ci"

// Path is where a system looks for its pipeline, from the top of the repository.
func (s System) Path() string {
	return map[System]string{GitHub: ".github/workflows/multiarch.yml", GitLab: ".gitlab-ci.yml", Jenkins: "Jenkinsfile"}[s]
}

//go:embed templates
var templates embed.FS

// Write returns the text of the pipeline.
func Write(o Options) ([]byte, error) {
	if o.System.Path() == "" {
		return nil, &UnknownError{"system", string(o.System), []string{string(GitHub), string(GitLab), string(Jenkins)}}
	}
	if o.Engine != Embedded && o.Engine != Bazel {
		return nil, &UnknownError{"engine", string(o.Engine), []string{string(Embedded), string(Bazel)}}
	}
	if o.System == GitLab && o.GoVersion == "" {
		return nil, errors.New("a pipeline of GitLab names a version of Go, and none is given")
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
	// The usual delimiters belong to GitHub.
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

// plainLabel is a runner's label, or an expression of Jenkins over labels, that needs no quotes in any of the files.
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

// notInCommands is what would end a line, a script of a Jenkinsfile or its strings, and what GitHub and GitLab fill in
// before a shell sees it. Some of the line ends are only YAML's.
var notInCommands = regexp.MustCompile("[\\x00-\\x1f\\x7f\\x{85}\\x{2028}\\x{2029}\\x{feff}\\\\]|'''|\\$\\{\\{|\\$\\[\\[")

var (
	// plainPackage is a Bazel package that is a path as well.
	plainPackage = regexp.MustCompile(`^([A-Za-z0-9._][A-Za-z0-9._/-]*)?$`)
	plainVersion = regexp.MustCompile(`^([0-9]+(\.[0-9]+)*((rc|beta)[0-9]+)?)?$`)
)

// checkValues refuses values that could mean something else in a pipeline. They are quoted there all the same.
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
		return fmt.Errorf("invalid version of Go %q", o.GoVersion)
	}
	return nil
}

// CommandError is returned for a command that would mean something else in a pipeline.
type CommandError struct{ Command string }

func (e *CommandError) Error() string {
	return fmt.Sprintf("a pipeline cannot run %q", e.Command)
}

// Hint says what commands look like.
func (e *CommandError) Hint() string {
	return "write it in one line, without backslashes, ''', ${{ and $[[, or put it into a script of the repository"
}

// LabelError is returned for a label of a runner that would mean something else in a pipeline.
type LabelError struct{ Arch, Label string }

func (e *LabelError) Error() string {
	return fmt.Sprintf("the runner for %s cannot be called %q", e.Arch, e.Label)
}

// Hint says what labels look like.
func (e *LabelError) Hint() string { return "use letters, digits, blanks and . _ / & | + -" }

// UnknownError is returned for a word that is none of those there are.
type UnknownError struct {
	Kind, Word string
	Known      []string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown %s %q", e.Kind, e.Word) }

// Hint names what there is.
func (e *UnknownError) Hint() string { return suggest.Hint(e.Word, e.Known) }
