package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/ci"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/publish/release"
)

// ciFlags are those of the ci command.
type ciFlags struct {
	split, check, asDiff, force bool
	engine, output, multiarch   string
	bazelisk, registry          string
	logins, noLogins            []string
	runners                     map[string]string
}

// bazelisk is the default command that runs Bazel.
const bazelisk = "go run github.com/bazelbuild/bazelisk@v1.30.0"

func (a *app) ciCommand() *cobra.Command {
	var f ciFlags
	var systems []string
	for _, s := range ci.Systems() {
		systems = append(systems, string(s))
	}
	cmd := &cobra.Command{
		Use:   "ci github|gitlab|jenkins",
		Short: "Write a CI pipeline that releases the images",
		Long: `Write a pipeline for GitHub Actions, GitLab CI or Jenkins. It builds the images for every proposed
change, prints what a release would change, and releases them for every tag v*.

By default one job builds all platforms. With --split, one native runner per architecture builds its platforms,
and a last job joins them and moves the tags. Prints the name of the file.`,
		Example: `  multiarch ci github
  multiarch ci gitlab --split --runner amd64=intel,arm64=graviton
  multiarch ci jenkins --check`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: systems,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.check && f.asDiff {
				return usagef("--diff also compares the file", "--check and --diff cannot be combined")
			}
			return a.pipeline(cmd, f, ci.System(args[0]))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.split, "split", false,
		"use one native runner per architecture, and a job that joins (default: one job)")
	flags.StringVar(&f.engine, "engine", string(ci.Embedded), "engine that builds: embedded or bazel")
	flags.StringToStringVar(&f.runners, "runner", nil, "labels of your own runners, such as amd64=LABEL,arm64=LABEL")
	flags.StringVar(&f.registry, "registry", "", "registry that replaces the configured one")
	flags.StringVar(&f.multiarch, "multiarch", "",
		"command that runs multiarch in the pipeline (default: the tool in go.mod, or go run)")
	flags.StringSliceVar(&f.logins, "login", nil, "further registries to log in to, such as those of bases")
	flags.StringSliceVar(&f.noLogins, "no-login", nil, "registries that need no login")
	flags.StringVar(&f.bazelisk, "bazel", bazelisk, "command that runs Bazel in the pipeline")
	flags.StringVarP(&f.output, "output", "o", "",
		"file to write, or - for stdout (default: where the CI system expects it)")
	flags.BoolVar(&f.force, "force", false, "replace a file that multiarch did not generate")
	flags.BoolVar(&f.check, "check", false, "write nothing; exit with 4 if the file is stale")
	flags.BoolVar(&f.asDiff, "diff", false, "write nothing; print a diff, and exit with 4 if there is one")
	return cmd
}

func (a *app) pipeline(cmd *cobra.Command, f ciFlags, system ci.System) error {
	if system.Path() == "" {
		_, err := ci.Write(ci.Options{System: system})
		return usageOf(err)
	}
	if f.registry == "" {
		f.registry = os.Getenv("MULTIARCH_REGISTRY") // which is not set on the pipeline's machines
	}
	project, err := a.load(cmd, selection{acceptBazel: true, registry: f.registry}, nil)
	if err != nil {
		return err
	}
	if err := release.CheckRegistries(project.plan); err != nil {
		return err
	}
	for _, name := range release.FixedTags(project.config, project.plan) {
		a.terminal.note("multiarch: %s: no tag depends on git, so each release replaces the previous one\n"+
			"hint: add one, such as push: {tags: [latest, \"{{.Git.Tag}}\"]}", name)
	}
	root := repository(project.top)
	o, err := project.pipeline(a, f, system, root)
	if err != nil {
		return err
	}
	command := f.command(system, root)
	if f.output != "-" {
		o.Check = command
	}
	o.System, o.Registry, o.Command = system, f.registry, command+o.Command
	content, err := ci.Write(o)
	if err != nil {
		return usageOf(err)
	}
	if f.output == "-" {
		_, err := a.terminal.out.Write(content)
		return err
	}
	file := f.output
	if file == "" {
		file = filepath.Join(root, filepath.FromSlash(system.Path()))
	}
	return a.keepPipeline(f, file, content, o.Command)
}

// usageOf turns an error with a hint into a usage error.
func usageOf(err error) error {
	var hinting fault.Hinter
	if errors.As(err, &hinting) {
		return usagef(hinting.Hint(), "%w", err)
	}
	return err
}

// keepPipeline writes the file, or compares it.
func (a *app) keepPipeline(f ciFlags, file string, content []byte, command string) error {
	shown := file
	if wd, err := os.Getwd(); err == nil {
		shown = filepath.FromSlash(from(wd, file))
	}
	old, err := inputfile.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the old pipeline: %w", err)
	}
	switch {
	case f.asDiff:
		if _, err := a.terminal.out.Write(diff.Diff(shown, old, shown, content)); err != nil {
			return err
		}
		fallthrough
	case f.check:
		if bytes.Equal(old, content) {
			return nil
		}
		if f.check {
			a.terminal.result("%s", shown)
			problem, hint := stale(err == nil, old, command)
			fmt.Fprintf(a.terminal.err, "%s\nhint: %s\n", problem, hint)
		}
		return errDiffers
	case err == nil && !f.force && !ours(old):
		return usagef(hintForeign, "%s exists and was not generated by multiarch", shown)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the pipeline: %w", err)
	}
	if err := writeFile(file, content); err != nil {
		return fmt.Errorf("writing the pipeline: %w", err)
	}
	a.terminal.result("%s", shown)
	return nil
}

// stale describes a file that differs from the generated pipeline, with a hint.
func stale(there bool, content []byte, command string) (problem, hint string) {
	hint = "run in the root of the repository: multiarch ci " + command
	switch {
	case !there:
		return "the pipeline does not exist", hint
	case !ours(content):
		return "the file was not generated by multiarch", hintForeign
	}
	return "the pipeline is stale", hint
}

// hintForeign is the hint for a file that multiarch did not generate.
const hintForeign = "write to another file with --output, or replace this one with --force"

// ours reports whether a pipeline was generated by this command.
func ours(content []byte) bool {
	first, _, _ := strings.Cut(string(content), "\n")
	return strings.Contains(first, ci.Marker)
}

// command returns the arguments of ci that generate the same pipeline again in the root of the repository, without the
// flags that decide what happens to the text.
func (f ciFlags) command(system ci.System, root string) string {
	words := []string{string(system)}
	flag := func(name, value string) {
		if value != "" {
			words = append(words, name, ci.Quote(value))
		}
	}
	if f.split {
		words = append(words, "--split")
	}
	if f.engine != string(ci.Embedded) {
		flag("--engine", f.engine)
	}
	for _, arch := range slices.Sorted(maps.Keys(f.runners)) {
		flag("--runner", arch+"="+f.runners[arch])
	}
	flag("--registry", f.registry)
	flag("--login", strings.Join(f.logins, ","))
	flag("--no-login", strings.Join(f.noLogins, ","))
	flag("--multiarch", f.multiarch)
	if f.bazelisk != bazelisk {
		flag("--bazel", f.bazelisk)
	}
	if f.output != "" && f.output != "-" {
		flag("--output", from(root, f.output))
	}
	return strings.Join(words, " ")
}

// from returns the path of a file relative to a directory.
func from(dir, file string) string {
	if full, err := filepath.Abs(file); err == nil {
		if near, err := filepath.Rel(dir, full); err == nil {
			return filepath.ToSlash(near)
		}
	}
	return file
}
