package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/internal/format"
	"github.com/multiarch-build/multiarch/tools/internal/git"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// app holds what all commands share.
type app struct {
	terminal *terminal
	stdin    io.Reader
	file     string           // -f
	limits   *registry.Limits // limits of concurrent requests, shared by all clients
	// locate returns the absolute path of a file that a Bazel rule passed. It is nil if no rule started the command.
	locate func(runfile string) (string, error)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "multiarch",
		Short: "Build images for every platform from one multiarch.yaml",
		Long: `multiarch builds the images that multiarch.yaml declares: one image index per service, with one image per
platform. It needs no daemon, no emulator and no Dockerfile.`,
		Example: `  multiarch init
  multiarch build
  multiarch run hello --platform linux/s390x
  multiarch push --registry registry.example.com/team`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionLine(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Bazel names executables after their rules. A copy without the launch file must not appear to succeed.
			if program := filepath.Base(os.Args[0]); filepath.Ext(program) == ".exe" && !strings.Contains(program, "multiarch") {
				return usagef("run it with bazel run, or where Bazel built it",
					"%s has no arguments, because its launch file is missing", program)
			}
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.PersistentFlags().StringVarP(&a.file, "file", "f", "",
		"configuration file (default: multiarch.yaml or images/multiarch.yaml here or in a parent directory)")
	root.PersistentFlags().BoolVarP(&a.terminal.quiet, "quiet", "q", false, "print only results and errors")
	root.SetFlagErrorFunc(flagError)
	refuseEmpty(root.PersistentFlags())
	for _, make := range []func() *cobra.Command{
		a.initCommand, a.planCommand, a.buildCommand, a.pushCommand, a.releaseCommand, a.loginCommand, a.loadCommand,
		a.archiveCommand, a.runCommand,
		a.inspectCommand, a.verifyCommand, a.diffCommand, a.lockCommand, a.outdatedCommand, a.cacheCommand, a.indexCommand,
		a.generateCommand, a.ciCommand, a.registryCommand, a.platformsCommand, a.schemaCommand, a.versionCommand,
	} {
		cmd := make()
		for _, c := range append(cmd.Commands(), cmd) {
			checkUsage(c)
			refuseEmpty(c.Flags())
			if c.Flags().Lookup("platform") != nil {
				_ = c.RegisterFlagCompletionFunc("platform", a.completePlatforms) // fails only for unknown flags
			}
		}
		root.AddCommand(cmd)
	}
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	// Cobra's own commands only exist after these calls, and accept any arguments.
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	help, _, _ := root.Find([]string{"help"})
	help.RunE = printHelp
	completion, _, _ := root.Find([]string{"completion"})
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, c := range append(completion.Commands(), completion) {
		checkUsage(c)
	}
	return root
}

// printHelp prints the help of a command, or an error if it does not exist.
func printHelp(help *cobra.Command, args []string) error {
	cmd, rest, err := help.Root().Find(args)
	if err != nil {
		return usagef("see: multiarch --help", "%w", err)
	}
	if len(rest) > 0 {
		return unknownCommand(cmd, rest[0])
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	return cmd.Help()
}

// unknownCommand returns an error that lists the subcommands of cmd.
func unknownCommand(cmd *cobra.Command, word string) error {
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	return usagef(hintOf(word, known), "unknown command %q", strings.TrimSpace(below(cmd)+" "+word))
}

// below returns the path of a command without the program's name.
func below(cmd *cobra.Command) string {
	return strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()))
}

// checkUsage turns errors about arguments into usage errors.
func checkUsage(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		switch {
		case err == nil:
			return nil
		case cmd.HasSubCommands():
			return unknownCommand(cmd, args[0])
		}
		return usagef("usage: "+cmd.UseLine(), "%s: expected %s, got %d", below(cmd), expectedArguments(err), len(args))
	}
}

// expectedArguments returns how many arguments a command takes, from the error of one of Cobra's validators.
func expectedArguments(err error) string {
	var n int
	if _, scanErr := fmt.Sscanf(err.Error(), "accepts %d arg(s)", &n); scanErr == nil {
		return format.Count(n, "argument")
	}
	if _, scanErr := fmt.Sscanf(err.Error(), "requires at least %d arg(s)", &n); scanErr == nil {
		return "at least " + format.Count(n, "argument")
	}
	return "no arguments"
}

// selection holds the flags of all commands that plan.
type selection struct {
	platforms []string
	registry  string
	// acceptBazel accepts images that only Bazel can build, for commands that compile nothing.
	acceptBazel bool
	// share selects the part of the plan that one runner builds.
	share share
}

func (s *selection) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.platforms, "platform", nil,
		"only these platforms, such as linux/arm64,linux/arm/v7 (default: all of each image)")
	cmd.Flags().StringVar(&s.registry, "registry", "",
		"registry that replaces all configured ones (default: $MULTIARCH_REGISTRY)")
}

// otherRegistry returns the registry that replaces all configured ones, or "".
func (s *selection) otherRegistry() (string, error) {
	r := cmp.Or(s.registry, os.Getenv("MULTIARCH_REGISTRY"))
	if r == "" {
		return "", nil
	}
	if err := config.CheckRegistry(r); err != nil {
		return "", usageOf(fmt.Errorf("--registry, or MULTIARCH_REGISTRY: %w", err))
	}
	return r, nil
}

// project is a configuration with its plan. Commands do not change it.
type project struct {
	top    string // the top of the tree
	config *config.Config
	plan   *plan.Plan
	// registry replaces all configured registries, unless it is "".
	registry string
	// selected are the platforms of --platform, empty for all.
	selected []arch.Platform
	vars     config.Vars
}

// withPlan returns the project with another plan.
func (p project) withPlan(other *plan.Plan) *project {
	p.plan = other
	return &p
}

// load reads the configuration and plans the named images, or all.
func (a *app) load(cmd *cobra.Command, s selection, images []string) (*project, error) {
	file, err := a.find()
	if err != nil {
		return nil, err
	}
	c, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	p := &project{top: config.Top(file), config: c}
	opts := plan.Options{Images: images, Bazel: s.acceptBazel}
	if opts.Lock, err = lock.Load(file); err != nil {
		return nil, err
	}
	if opts.Lock.HasStatic() {
		static, err := static.Lock()
		if err != nil {
			return nil, err
		}
		opts.Static = &static
	}
	if opts.Registry, err = s.otherRegistry(); err != nil {
		return nil, err
	}
	for _, name := range s.platforms {
		platform, err := suggest.ParsePlatform(name)
		if err != nil {
			return nil, usageOf(err)
		}
		opts.Platforms = append(opts.Platforms, platform)
	}
	if opts.Epoch, err = epoch(); err != nil {
		return nil, err
	}
	p.vars = config.Vars{Env: environment(), Checkout: git.Open(cmd.Context(), p.top, os.Getenv, func(warning string) {
		a.terminal.note("multiarch: %s", warning)
	})}
	opts.Vars, p.selected, p.registry = p.vars, opts.Platforms, opts.Registry
	if err := s.share.check(); err != nil {
		return nil, err
	}
	all, err := plan.New(c, opts)
	if err != nil {
		return p, err
	}
	p.plan = s.share.of(all)
	return p, nil
}

func readConfig(file string) (*config.Config, error) {
	content, err := inputfile.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return config.Parse(file, content)
}

// errNoConfig is returned if there is no configuration file, which some commands do not need.
var errNoConfig = errors.New("no multiarch.yaml here, in images/, or in a parent directory")

// find returns the configuration file: the one given, or the nearest upwards.
func (a *app) find() (string, error) {
	if a.file != "" {
		return a.file, checkFile(a.file)
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for multiarch.yaml: %w", err)
	}
	misnamed := ""
	for dir := wd; ; dir = filepath.Dir(dir) {
		for _, name := range []string{"multiarch.yaml", filepath.Join("images", "multiarch.yaml")} {
			file := filepath.Join(dir, name)
			near, err := filepath.Rel(wd, file)
			if err != nil {
				near = file
			}
			if _, err := os.Stat(file); err == nil {
				return near, nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("looking for multiarch.yaml: %w", err)
			}
			if other := strings.TrimSuffix(near, ".yaml") + ".yml"; misnamed == "" && isFile(other) {
				misnamed = other
			}
		}
		if dir != filepath.Dir(dir) {
			continue
		}
		if misnamed != "" {
			return "", usagef("rename it to multiarch.yaml, or pass it with -f", "%w, but %s", errNoConfig, misnamed)
		}
		return "", usagef("create one with: multiarch init, or pass another file with -f", "%w", errNoConfig)
	}
}

// checkFile reports an error if the argument of -f is not a file, with a hint that lists the candidates.
func checkFile(file string) error {
	info, err := os.Stat(file)
	dir, what := filepath.Dir(file), "does not exist"
	switch {
	case err == nil && !info.IsDir():
		return nil
	case err == nil:
		dir, what = file, "is a directory"
	case !errors.Is(err, fs.ErrNotExist):
		return nil // reading the file reports the error
	}
	entries, _ := os.ReadDir(dir) // the hint is optional
	var known []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			known = append(known, filepath.Join(dir, e.Name()))
		}
	}
	if len(known) == 0 {
		return usagef("create one with: multiarch init", "%s %s", file, what)
	}
	return usagef(hintOf(file, known), "%s %s", file, what)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// epoch reads SOURCE_DATE_EPOCH: https://reproducible-builds.org/specs/source-date-epoch.
func epoch() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, usagef("use seconds since 1970-01-01, such as 1767225600", "invalid SOURCE_DATE_EPOCH %q", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func environment() map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// store opens the cache.
func store() (*cache.Store, error) {
	dir := os.Getenv("MULTIARCH_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, usagef("set MULTIARCH_CACHE to a writable directory", "finding the cache directory: %w", err)
		}
		dir = filepath.Join(user, "multiarch")
	}
	return cache.Open(dir)
}
