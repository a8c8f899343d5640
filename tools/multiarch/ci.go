package main

import (
	"bytes"
	"errors"
	"fmt"
	goversion "go/version"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"golang.org/x/mod/modfile"

	"github.com/multiarch-build/multiarch/tools/lock"
	"github.com/multiarch-build/multiarch/tools/pipeline"
)

// ciFlags are those of the ci command.
type ciFlags struct {
	split, check, asDiff, force bool
	engine, output, multiarch   string
	bazelisk, registry          string
	logins                      []string
	runners                     map[string]string
}

func (a *app) ciCommand() *cobra.Command {
	var f ciFlags
	var systems []string
	for _, s := range pipeline.Systems {
		systems = append(systems, string(s))
	}
	cmd := &cobra.Command{
		Use:   "ci github|gitlab|jenkins",
		Short: "Write the pipeline that releases these images",
		Long: `Write the pipeline that builds the images of multiarch.yaml for every proposed change, says what a release would do, and
releases them for every tag v*. One job builds everything; with --split, a native runner for each architecture builds its
platforms under a tag of the commit, and a last job joins them and moves the real tags. Prints the file.`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: systems,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.check && f.asDiff {
				return usagef("--diff prints what --check finds", "--check and --diff exclude each other")
			}
			return a.pipeline(cmd, f, pipeline.System(args[0]))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.split, "split", false, "a native runner for each architecture, and a last job that joins; else one job")
	flags.StringVar(&f.engine, "engine", string(pipeline.Embedded), "embedded or bazel")
	flags.StringToStringVar(&f.runners, "runner", nil, "labels of runners instead of the system's own, such as amd64=LABEL,arm64=LABEL")
	flags.StringVar(&f.registry, "registry", "", "where images go instead of the configuration's registry")
	flags.StringVar(&f.multiarch, "multiarch", "", "the command that is multiarch there; default: what go.mod says, or go run of this version")
	flags.StringSliceVar(&f.logins, "login", nil, "more registries to log in to, such as those of bases")
	flags.StringVar(&f.bazelisk, "bazel", "go run github.com/bazelbuild/bazelisk@v1.30.0", "the command that is Bazel there")
	flags.StringVarP(&f.output, "output", "o", "", "the file to write, - for stdout; default: where the system looks for it")
	flags.BoolVar(&f.force, "force", false, "also replace a file that this command has not written")
	flags.BoolVar(&f.check, "check", false, "write nothing; exit with 4 where the file is stale")
	flags.BoolVar(&f.asDiff, "diff", false, "write nothing; print what would change, and exit with 4 where something would")
	return cmd
}

func (a *app) pipeline(cmd *cobra.Command, f ciFlags, system pipeline.System) error {
	if system.Path() == "" {
		_, err := pipeline.Write(pipeline.Options{System: system})
		return usageOf(err)
	}
	project, err := a.load(cmd, selection{elsewhere: true, registry: f.registry}, nil)
	if err != nil {
		return err
	}
	if err := project.destined(); err != nil {
		return err
	}
	root := repository(project.top)
	o, err := project.pipeline(a, f, system, root)
	if err != nil {
		return err
	}
	if f.registry != "" && o.Engine == pipeline.Bazel {
		return usagef("give registry: in multiarch.yaml, and run multiarch generate", "--registry is not for Bazel, whose targets say where images go")
	}
	o.System, o.Registry, o.Command = system, f.registry, f.command(system)+o.Command
	content, err := pipeline.Write(o)
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

// usageOf makes an error about flags one about usage.
func usageOf(err error) error {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return usagef(hinted.Hint(), "%w", err)
	}
	return err
}

// keepPipeline writes the file, or says how it differs.
func (a *app) keepPipeline(f ciFlags, file string, content []byte, command string) error {
	shown := file
	if wd, err := os.Getwd(); err == nil {
		if near, err := filepath.Rel(wd, file); err == nil {
			shown = near
		}
	}
	old, err := os.ReadFile(file)
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
			fmt.Fprintf(a.terminal.err, "the pipeline is stale\nhint: run: multiarch ci %s\n", command)
		}
		return errDiffers
	case err == nil && !f.force && !strings.Contains(strings.SplitN(string(old), "\n", 2)[0], pipeline.Marker):
		return usagef("name another file with --output, or replace it with --force", "%s is there, and was written by somebody else", shown)
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

// command is what writes the same pipeline again, without its first words.
func (f ciFlags) command(system pipeline.System) string {
	words := []string{string(system)}
	if f.split {
		words = append(words, "--split")
	}
	if f.engine != string(pipeline.Embedded) {
		words = append(words, "--engine "+f.engine)
	}
	var runners []string
	for arch, label := range f.runners {
		runners = append(runners, "--runner '"+arch+"="+label+"'")
	}
	slices.Sort(runners)
	words = append(words, runners...)
	if f.registry != "" {
		words = append(words, "--registry "+f.registry)
	}
	if len(f.logins) > 0 {
		words = append(words, "--login "+strings.Join(f.logins, ","))
	}
	if f.multiarch != "" {
		words = append(words, "--multiarch '"+f.multiarch+"'")
	}
	if f.output != "" && f.output != "-" {
		words = append(words, "--output "+f.output)
	}
	return strings.Join(words, " ")
}

// plainPath is a path that needs no quotes in a shell.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

// pipeline collects what is to be known about the project.
func (p *project) pipeline(a *app, f ciFlags, system pipeline.System, root string) (pipeline.Options, error) {
	o := pipeline.Options{
		Engine: pipeline.Engine(f.engine), Split: f.split, Runners: f.runners, Bazelisk: f.bazelisk,
		Lock: len(lock.Wants(p.config)) > 0,
	}
	file, err := a.find()
	if err != nil {
		return o, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return o, err
	}
	near, err := filepath.Rel(root, file)
	if near = filepath.ToSlash(near); err != nil || !plainPath.MatchString(near) {
		return o, usagef("use letters, digits and ._/- in its path", "a pipeline cannot name %s", file)
	}
	if o.Package = path.Dir(near); o.Package == "." {
		o.Package = ""
	}
	o.Multiarch, o.GoVersion = f.multiarch, ownGo
	content, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("reading go.mod: %w", err)
	}
	mod, err := modfile.Parse("go.mod", content, nil)
	if err != nil {
		return o, fmt.Errorf("reading go.mod: %w", err)
	}
	if mod.Go != nil && (goversion.Compare("go"+mod.Go.Version, "go"+ownGo) >= 0 || f.multiarch != "") {
		if o.GoVersion = shortVersion(mod.Go.Version); system == pipeline.GitHub {
			o.GoVersion = "" // the action reads it in go.mod
		}
	}
	if o.Multiarch == "" {
		o.Multiarch = a.ourselves(mod)
	}
	if near != "multiarch.yaml" && near != "images/multiarch.yaml" {
		o.Command = " -f " + near
		o.Multiarch += o.Command
	}
	for _, i := range p.plan.Images {
		o.Smoke = o.Smoke || i.Smoke != nil
		image := pipeline.Image{Name: i.Name, Repository: i.Push.Repository}
		for _, c := range i.Children {
			image.Platforms = append(image.Platforms, c.Platform)
		}
		o.Images = append(o.Images, image)
		for _, repository := range append([]string{i.Push.Repository}, i.Push.Further...) {
			r, err := name.NewRepository(repository)
			if err != nil {
				return o, usagef("see: multiarch plan", "image %s cannot go to %q: %w", i.Name, repository, err)
			}
			if host := loginHost(r); host != "" && !slices.Contains(o.Registries, host) {
				o.Registries = append(o.Registries, host)
			}
		}
	}
	for _, given := range f.logins {
		host, err := name.NewRegistry(given)
		if err != nil {
			return o, usagef("such as ghcr.io or localhost:5000, without a repository", "--login: %w", err)
		}
		if host := hostOf(host); !slices.Contains(o.Registries, host) {
			o.Registries = append(o.Registries, host)
		}
	}
	slices.Sort(o.Registries)
	return o, nil
}

// loginHost is where to log in for a repository, "" where nobody is asked who they are.
func loginHost(r name.Repository) string {
	if host := r.RegistryStr(); strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "127.") {
		return ""
	}
	return hostOf(r.Registry)
}

// hostOf is what people call a registry.
func hostOf(r name.Registry) string {
	if r.RegistryStr() == name.DefaultRegistry {
		return "docker.io"
	}
	return r.RegistryStr()
}

// ownGo is the version of Go that compiles multiarch itself. The systems' Go fetches no newer one by itself: neither that of
// GitHub's action nor that of the image golang (GOTOOLCHAIN=local).
const ownGo = "1.26"

// ourselves is the command that is multiarch in a module.
func (a *app) ourselves(mod *modfile.File) string {
	const module, command = "github.com/multiarch-build/multiarch", "github.com/multiarch-build/multiarch/tools/multiarch"
	if mod.Module != nil && mod.Module.Mod.Path == module {
		return "go run ./tools/multiarch"
	}
	if slices.ContainsFunc(mod.Tool, func(t *modfile.Tool) bool { return t.Path == command }) {
		return "go tool multiarch"
	}
	if v := version(); strings.HasPrefix(v, "v") && !strings.Contains(v, "+") {
		return "go run " + command + "@" + v
	}
	a.terminal.note("multiarch: this program does not know its version, so that the pipeline takes the latest; --multiarch pins one, and so does: go get -tool %s", command)
	return "go run " + command + "@latest"
}

// shortVersion is a version of Go without what comes after its second number.
func shortVersion(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// repository is the top of the git checkout that a folder is in, or else the folder.
func repository(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if exists(filepath.Join(at, ".git")) {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
