package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/publish/load"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

func (a *app) loadCommand() *cobra.Command {
	var (
		s      selection
		o      buildFlags
		p      pushFlags
		engine string
		input  string
		built  string
	)
	cmd := &cobra.Command{
		Use:   "load [IMAGE...]",
		Short: "Load images into docker, podman or containerd",
		Long: `Build the named images, or all of them, for this machine's platform, and load them into a container engine:
docker, podman, nerdctl or ctr, whichever is found first. Prints the name of each image in the engine.

With --input, load an existing OCI archive under the names that it contains. Engines without support for image
indexes receive the image for their platform. rules_oci's oci_load can use this as its loader.`,
		Example: `  multiarch load hello
  multiarch load hello --platform linux/arm64 --engine podman
  multiarch load --input images.tar`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, images []string) error {
			loader := load.Loader{Engine: engine, Output: a.terminal.err}
			if built != "" {
				if len(images) > 0 || input != "" || s.registry != "" || len(s.platforms) > 1 {
					return usagef("give no images, and no flags but --engine, --tag and one --platform",
						"--prebuilt loads the images that Bazel built")
				}
				return a.loadPrebuilt(cmd, s, p, loader, built)
			}
			if input == "" {
				return a.loadBuilt(cmd, s, o, p, loader, images)
			}
			if len(images) > 0 || p.tags != nil || s.registry != "" || len(s.platforms) > 1 {
				return usagef("give no images, and no flags but --engine and one --platform",
					"--input loads an archive as a whole, under the names in it")
			}
			if err := setPlatform(&loader, s); err != nil {
				return err
			}
			return a.loadArchive(cmd, loader, input)
		},
	}
	s.flags(cmd)
	p.flags(cmd)
	o.verifyFlag(cmd)
	o.jobsAndInsecure(cmd)
	cmd.Flags().StringVar(&engine, "engine", "", "docker, podman, nerdctl or ctr (default: the first one found)")
	cmd.Flags().StringVar(&input, "input", "", "load this OCI archive instead of building; - for stdin")
	cmd.Flags().StringVar(&built, "prebuilt", "", "load the images that this file lists; written by //tools/rules")
	_ = cmd.Flags().MarkHidden("prebuilt")
	return cmd
}

// setPlatform sets the platform to load if there is one.
func setPlatform(loader *load.Loader, s selection) (err error) {
	if len(s.platforms) == 1 {
		loader.Platform, err = suggest.ParsePlatform(s.platforms[0])
	}
	if err != nil {
		return usageOf(err)
	}
	return nil
}

// loadPrebuilt loads images built by Bazel.
func (a *app) loadPrebuilt(cmd *cobra.Command, s selection, p pushFlags, loader load.Loader, file string) error {
	built, err := release.ReadPrebuilt(file, a.locate)
	if err != nil {
		return err
	}
	if err := setPlatform(&loader, s); err != nil {
		return err
	}
	images, references, err := built.Images(p.tags)
	if err != nil {
		return err
	}
	loader.References = references
	return a.loadInto(cmd, loader, images)
}

// loadBuilt builds images and loads them.
func (a *app) loadBuilt(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, loader load.Loader,
	images []string) error {
	project, err := a.load(cmd, s, images)
	if err != nil {
		return err
	}
	if len(project.selected) == 1 {
		loader.Platform = project.selected[0]
	}
	if loader.References, err = a.references(project, p); err != nil {
		return err
	}
	built, err := a.carryOut(cmd, project, o, "")
	if err != nil {
		return err
	}
	return a.loadInto(cmd, loader, published(built.results))
}

// loadArchive loads what an archive holds. "-" is stdin.
func (a *app) loadArchive(cmd *cobra.Command, loader load.Loader, input string) (err error) {
	file, remove, err := seekable(cmd.Context(), input, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	stored, err := source.OpenStored(cmd.Context(), file)
	if err != nil {
		return err
	}
	var images []content.Image
	loader.References = map[string][]string{}
	for _, s := range stored {
		defer func() { err = errors.Join(err, s.Close()) }()
		index, err := indexOf(s.Source)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		images = append(images, content.Image{Name: s.Name, Index: index})
		loader.References[s.Name] = s.Names
	}
	return a.loadInto(cmd, loader, images)
}

// seekable returns the path of a file with the archive's bytes, which is the archive itself unless that is a pipe, and
// what removes it where it is another.
func seekable(ctx context.Context, input string, stdin io.Reader) (string, func() error, error) {
	stdin = inputfile.Interruptible(ctx, stdin)
	if input != "-" {
		f, err := inputfile.OpenStream(ctx, input)
		if err != nil {
			return "", nil, err
		}
		defer f.Close()
		if info, err := os.Stat(input); err == nil && info.Mode().IsRegular() {
			return input, func() error { return nil }, nil
		}
		stdin = f
	}
	spool, err := os.CreateTemp("", "multiarch-load-*.tar")
	if err != nil {
		return "", nil, err
	}
	remove := func() error { return os.Remove(spool.Name()) }
	_, err = io.Copy(spool, stdin)
	if err = errors.Join(err, spool.Close()); err != nil {
		return "", nil, errors.Join(fmt.Errorf("reading %s: %w", input, err), remove())
	}
	return spool.Name(), remove, nil
}

// readStream reads a file or a pipe to its end, or until ctx ends.
func readStream(ctx context.Context, file string) ([]byte, error) {
	f, err := inputfile.OpenStream(ctx, file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// indexOf is a source's index, or one of its image alone.
func indexOf(s *source.Source) (v1.ImageIndex, error) {
	if s.Index != nil {
		return s.Index, nil
	}
	config, err := s.Image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	return mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        s.Image,
		Descriptor: v1.Descriptor{Platform: config.Platform()},
	}), nil
}

// loadInto loads images and prints their names.
func (a *app) loadInto(cmd *cobra.Command, loader load.Loader, images []content.Image) error {
	loaded, err := loader.Load(cmd.Context(), images)
	for _, ref := range loaded.References {
		a.terminal.result("%s", ref)
	}
	return err
}
