package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/manifest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/run"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

func (a *app) runCommand() *cobra.Command {
	var (
		platform string
		env      []string
		ports    []string
		volumes  []string
		o        buildFlags
		options  run.Options
	)
	cmd := &cobra.Command{
		Use:   "run IMAGE|REF [--platform P] [--env K=V] [-- ARGS...]",
		Short: "Run an image natively or under qemu-user",
		Long: `Run the program of one image in a private root file system: natively if this machine can, otherwise under
qemu-user. IMAGE is built first; REF is a reference, oci:DIR:NAME or an archive. ARGS replace the image's cmd. The
exit code is the program's. Layers are compared with their digests and diffIDs before the program starts.

The program shares the machine's network, where ports below 1024 need root. With --publish, it has a network of
its own: it can open any port, but cannot connect to other hosts.`,
		Example: `  multiarch run hello
  multiarch run hello --platform linux/arm64 --env PORT=8123
  multiarch run web --publish 8080:80 --volume ./data:/var/lib/web
  multiarch run oci:dist:tools -- --version`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			find, err := a.finder(args[0])
			if err != nil {
				return err
			}
			img, on, err := find(cmd, o, args[0], platform)
			if err != nil {
				return err
			}
			options.Image, options.Platform, options.Env = img, on, env
			options.Stdin, options.Stdout, options.Stderr = a.stdin, a.terminal.out.Writer, a.terminal.err
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
	cmd.Flags().StringVar(&platform, "platform", "", "platform (default: this machine's)")
	cmd.Flags().StringArrayVarP(&ports, "publish", "p", nil, "TCP port to publish, as [ADDRESS:]HOST:CONTAINER")
	cmd.Flags().StringArrayVarP(&volumes, "volume", "v", nil, "file or directory to mount, as HOST:CONTAINER[:ro]")
	cmd.Flags().StringArrayVarP(&env, "env", "e", nil, "environment variable, as NAME=value, or NAME to pass it on")
	o.jobsAndInsecure(cmd)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		for _, text := range ports {
			port, err := run.ParsePort(text)
			if err != nil {
				return usagef("write it as HOST:CONTAINER, such as 8080:80", "--publish: %w", err)
			}
			options.Publish = append(options.Publish, port)
		}
		for _, text := range volumes {
			volume, err := run.ParseVolume(text)
			if err != nil {
				return usagef("write it as HOST:CONTAINER, such as ./data:/var/lib/app", "--volume: %w", err)
			}
			options.Volumes = append(options.Volumes, volume)
		}
		for i, pair := range env {
			value, set := os.LookupEnv(pair)
			switch {
			case pair == "" || pair[0] == '=':
				return usagef("write it as NAME=value", "--env: invalid variable %q", pair)
			case strings.Contains(pair, "="):
			case set:
				env[i] = pair + "=" + value
			default:
				return usagef("set it, or write --env "+pair+"=VALUE", "--env: %s is not set in the environment", pair)
			}
		}
		return nil
	}
	return cmd
}

// finder returns the function that finds the image to run. Images of multiarch.yaml are built. If there is a
// multiarch.yaml, any other single word is an error: a misspelt name must not start an image from Docker Hub.
func (a *app) finder(ref string) (func(*cobra.Command, buildFlags, string,
	string) (v1.Image, arch.Platform, error), error) {
	file, _, err := a.projectImage(ref)
	switch {
	case err != nil:
		return nil, err
	case file != "":
		a.terminal.note("multiarch: building %s of %s (to run the image from Docker Hub, write %s)", ref, file,
			registry.HubName(ref))
		return a.builtImage, nil
	case !maybeImage(ref):
		return a.finishedImage, nil
	}
	if _, err := a.find(); errors.Is(err, errNoConfig) {
		return a.finishedImage, nil
	}
	return a.builtImage, nil // its error lists the known images
}

// builtImage builds one image of the configuration for one platform.
func (a *app) builtImage(cmd *cobra.Command, o buildFlags, name, platform string) (v1.Image, arch.Platform, error) {
	var s selection
	if platform != "" {
		s.platforms = []string{platform}
	}
	o.noVerify = true // starting the image fails by itself if it is unusable
	project, err := a.load(cmd, s, []string{name})
	if err != nil {
		return nil, arch.Platform{}, err
	}
	if len(project.plan.Images[0].From) > 0 {
		return a.joinedImage(cmd, project, o, platform)
	}
	children := project.plan.Images[0].Children
	var have []arch.Platform
	for _, c := range children {
		have = append(have, c.Platform)
	}
	i, err := choose(name, platform, have)
	if err != nil {
		return nil, arch.Platform{}, err
	}
	onePlatform := project.plan.Images[0]
	onePlatform.Children = children[i : i+1]
	built, err := a.carryOut(cmd, project.withPlan(&plan.Plan{Images: []plan.Image{onePlatform}}), o, "")
	if err != nil {
		return nil, arch.Platform{}, err
	}
	img, err := onlyChild(built.results[0])
	return img, have[i], err
}

// finishedImage opens an image that was built before.
func (a *app) finishedImage(cmd *cobra.Command, o buildFlags, ref, platform string) (v1.Image, arch.Platform, error) {
	source, err := a.open(cmd.Context(), o.insecure, ref)
	if err != nil {
		return nil, arch.Platform{}, err
	}
	// It stays open for as long as the program may be read from it: until this process ends.
	if !source.Intact() {
		return nil, arch.Platform{}, &hinted{
			fmt.Errorf("reading %s: content does not match digest %s", ref, source.Root.Digest), "build, copy or pull it again",
		}
	}
	if source.Image != nil {
		config, err := source.Image.ConfigFile()
		if err != nil {
			return nil, arch.Platform{}, fmt.Errorf("reading %s: %w", ref, err)
		}
		have := []arch.Platform{arch.Canonical(config.OS, config.Architecture, config.Variant)}
		_, err = choose(ref, platform, have)
		return source.Image, have[0], err
	}
	return childOf(ref, source.Index, platform)
}

// joinedImage returns an image that joins existing ones.
func (a *app) joinedImage(cmd *cobra.Command, p *project, o buildFlags,
	platform string) (v1.Image, arch.Platform, error) {
	built, err := a.carryOut(cmd, p, o, "")
	if err != nil {
		return nil, arch.Platform{}, err
	}
	return childOf(built.results[0].Name, built.results[0].Index, platform)
}

// childOf returns the image of an index for a platform, or for this machine if platform is empty.
func childOf(ref string, index v1.ImageIndex, platform string) (v1.Image, arch.Platform, error) {
	list, err := index.IndexManifest()
	if err != nil {
		return nil, arch.Platform{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	var have []arch.Platform
	var digests []v1.Hash
	for _, d := range list.Manifests {
		if d.Platform != nil && manifest.IsImage(d) {
			have = append(have, arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant))
			digests = append(digests, d.Digest)
		}
	}
	i, err := choose(ref, platform, have)
	if err != nil {
		return nil, arch.Platform{}, err
	}
	img, err := index.Image(digests[i])
	if err != nil {
		return nil, arch.Platform{}, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return nil, arch.Platform{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	if got, _, _ := v1.SHA256(bytes.NewReader(raw)); got != digests[i] {
		return nil, arch.Platform{}, &hinted{
			fmt.Errorf("reading %s: manifest has digest %s, but the index lists %s", ref, got, digests[i]),
			"build, copy or pull it again",
		}
	}
	return img, have[i], nil
}

// choose returns the position of a platform in have, or of the best one for this machine if platform is empty.
func choose(name, platform string, have []arch.Platform) (int, error) {
	var names []string
	for _, p := range have {
		names = append(names, p.String())
	}
	has := "it has: " + strings.Join(names, ", ")
	if platform == "" {
		i := arch.BestMatch(arch.Canonical("linux", runtime.GOARCH, ""), have)
		if i < 0 {
			return 0, usagef(has, "image %s has no platform that this machine runs; name one with --platform", name)
		}
		return i, nil
	}
	want, err := suggest.ParsePlatform(platform)
	if err != nil {
		return 0, usageOf(err)
	}
	i := slices.Index(have, want)
	if i < 0 {
		return 0, usagef(has, "image %s has no platform %s", name, want)
	}
	return i, nil
}

func onlyChild(r build.Result) (v1.Image, error) {
	manifest, err := r.Index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, errors.New("internal error: expected one platform")
	}
	return r.Index.Image(manifest.Manifests[0].Digest)
}

// programExit is returned if a started program fails. multiarch exits with its code.
type programExit struct{ code int }

func (e *programExit) Error() string {
	return fmt.Sprintf("program exited with code %d", e.code)
}
