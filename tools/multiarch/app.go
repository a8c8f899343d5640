package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/cache"
	"github.com/multiarch-build/multiarch/tools/config"
	"github.com/multiarch-build/multiarch/tools/lock"
	"github.com/multiarch-build/multiarch/tools/plan"
	"github.com/multiarch-build/multiarch/tools/registry"
)

// app is what all commands share.
type app struct {
	terminal *terminal
	stdin    io.Reader
	file     string           // -f
	limits   *registry.Limits // what is under way to registries, for all clients
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "multiarch",
		Short:         "One multiarch.yaml, one command, one image index that runs everywhere",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVarP(&a.file, "file", "f", "", "the multiarch.yaml; default: ./multiarch.yaml, ./images/multiarch.yaml, then upwards")
	root.PersistentFlags().BoolVarP(&a.terminal.quiet, "quiet", "q", false, "print results and errors only")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("see: "+cmd.CommandPath()+" --help", "%w", err)
	})
	for _, make := range []func() *cobra.Command{
		a.initCommand, a.planCommand, a.buildCommand, a.pushCommand, a.releaseCommand, a.loginCommand, a.loadCommand, a.archiveCommand, a.runCommand,
		a.inspectCommand, a.verifyCommand, a.diffCommand, a.lockCommand, a.outdatedCommand, a.indexCommand, a.generateCommand, a.ciCommand, a.registryCommand, a.platformsCommand, a.schemaCommand, a.versionCommand,
	} {
		cmd := make()
		for _, c := range append(cmd.Commands(), cmd) {
			checkUsage(c)
		}
		root.AddCommand(cmd)
	}
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var known []string
		for _, c := range cmd.Commands() {
			known = append(known, c.Name())
		}
		return usagef(hintOf(args[0], known), "unknown command %q", args[0])
	}
	return root
}

// checkUsage makes wrong arguments of a command an error about usage.
func checkUsage(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("usage: "+cmd.UseLine(), "%w", err)
		}
		return nil
	}
}

// selection are the flags of every command that plans.
type selection struct {
	platforms []string
	registry  string
	// elsewhere is that nothing is compiled here, so that images which only Bazel can build are no error.
	elsewhere bool
}

func (s *selection) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.platforms, "platform", nil, "only these platforms, such as linux/arm64,linux/arm/v7; default: all that each image has")
	cmd.Flags().StringVar(&s.registry, "registry", "", "where images go instead of the configuration's registry (MULTIARCH_REGISTRY)")
	_ = cmd.RegisterFlagCompletionFunc("platform", cobra.FixedCompletions(arch.Names(), cobra.ShellCompDirectiveNoFileComp))
}

// project is a configuration that has been read and planned.
type project struct {
	top    string // the top of the tree
	config *config.Config
	plan   *plan.Plan
	// selected are the platforms that were asked for, none where all are.
	selected []arch.Platform
	vars     config.Vars
	// output is the OCI layout that will be written, "" where none is.
	output string
	// bases are those from registries, once it has been built.
	bases *bases
}

// load reads the configuration and plans what was asked for.
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
	opts := plan.Options{Images: images, Registry: s.registry, Bazel: s.elsewhere}
	if opts.Lock, err = lock.Beside(file); err != nil {
		return nil, err
	}
	if opts.Registry == "" {
		opts.Registry = os.Getenv("MULTIARCH_REGISTRY")
	}
	for _, name := range s.platforms {
		platform, err := arch.Parse(name)
		if err != nil {
			return nil, usagef(hintOf(name, arch.Names()), "%w", err)
		}
		opts.Platforms = append(opts.Platforms, platform)
	}
	if opts.Epoch, err = epoch(); err != nil {
		return nil, err
	}
	p.vars = config.Vars{Env: environment(), Checkout: sync.OnceValue(func() *config.Git { return checkout(cmd.Context(), p.top) })}
	opts.Vars, p.selected = p.vars, opts.Platforms
	p.plan, err = plan.New(c, opts)
	return p, err
}

func readConfig(file string) (*config.Config, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return config.Parse(file, content)
}

// find returns the configuration file: the one given, or the nearest upwards.
func (a *app) find() (string, error) {
	if a.file != "" {
		return a.file, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for multiarch.yaml: %w", err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		for _, name := range []string{"multiarch.yaml", filepath.Join("images", "multiarch.yaml")} {
			file := filepath.Join(dir, name)
			if _, err := os.Stat(file); err == nil {
				if near, err := filepath.Rel(wd, file); err == nil {
					return near, nil
				}
				return file, nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("looking for multiarch.yaml: %w", err)
			}
		}
		if dir == filepath.Dir(dir) {
			return "", usagef("write one with: multiarch init, or name it with -f", "no multiarch.yaml here, in images, or above")
		}
	}
}

// epoch reads SOURCE_DATE_EPOCH: https://reproducible-builds.org/specs/source-date-epoch.
func epoch() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, usagef("it counts seconds since 1970-01-01, such as 1767225600", "SOURCE_DATE_EPOCH is %q", s)
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
			return nil, usagef("set MULTIARCH_CACHE to a folder that can be written", "no place for a cache: %w", err)
		}
		dir = filepath.Join(user, "multiarch")
	}
	return cache.Open(dir)
}
