package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/run"
)

func (a *app) runCommand() *cobra.Command {
	var (
		platform string
		env      []string
		o        outcome
	)
	cmd := &cobra.Command{
		Use:   "run IMAGE [--platform P] [--env K=V] [-- ARGS...]",
		Short: "Start a built image under qemu-user, or natively where it can",
		Long: `Build one image for one platform and start its program in a private root, natively where this machine can, else
under qemu-user. The network is the machine's. ARGS replace the image's cmd. The exit code is the program's.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			var s selection
			host := arch.Canonical("linux", runtime.GOARCH, "")
			if platform != "" {
				s.platforms = []string{platform}
			}
			project, err := a.load(cmd, s, args[:1])
			if err != nil {
				return err
			}
			children := project.plan.Images[0].Children
			if platform == "" {
				var have []arch.Platform
				var names []string
				for _, c := range children {
					have, names = append(have, c.Platform), append(names, c.Platform.String())
				}
				i := arch.Best(host, have)
				if i < 0 {
					return usagef(hintOf("", names), "image %s has nothing for this machine: give --platform", args[0])
				}
				children = children[i : i+1]
			}
			project.plan.Images[0].Children = children
			results, err := a.carryOut(cmd, project, o)
			if err != nil {
				return err
			}
			img, err := onlyChild(results[0])
			if err != nil {
				return err
			}
			options := run.Options{Image: img, Platform: children[0].Platform, Env: env, Stdin: a.stdin, Stdout: a.terminal.out, Stderr: a.terminal.err}
			if len(args) > 1 {
				options.Args = args[1:]
			}
			process, err := run.Start(cmd.Context(), options)
			if err != nil {
				return fmt.Errorf("starting %s for %s: %w", args[0], options.Platform, err)
			}
			for _, note := range process.Info.Notes {
				a.terminal.note("multiarch: %s", note)
			}
			code, err := process.Wait()
			if err != nil {
				return err
			}
			if code != 0 {
				return &programExit{code}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "the platform; default: this machine's")
	cmd.Flags().StringArrayVarP(&env, "env", "e", nil, "environment variables, NAME=value, or NAME to pass on this one's")
	cmd.Flags().IntVarP(&o.jobs, "jobs", "j", 0, "how much to do at a time; default: one a processor")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		for i, pair := range env {
			value, set := os.LookupEnv(pair)
			switch {
			case pair == "" || pair[0] == '=':
				return usagef("write it as NAME=value", "%q is no environment variable", pair)
			case strings.Contains(pair, "="):
			case set:
				env[i] = pair + "=" + value
			default:
				return usagef("write it as NAME=value, or set it", "%s is not set", pair)
			}
		}
		return nil
	}
	return cmd
}

func onlyChild(r build.Result) (v1.Image, error) {
	manifest, err := r.Index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, errors.New("one platform was to be built")
	}
	return r.Index.Image(manifest.Manifests[0].Digest)
}

// programExit carries a started program's exit code to the end.
type programExit struct{ code int }

func (e *programExit) Error() string {
	return fmt.Sprintf("the program ended with exit code %d", e.code)
}
