package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/examine/diff"
	"github.com/multiarch-build/multiarch/tools/examine/inspect"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// open opens what a reference names.
func (a *app) open(ctx context.Context, insecure bool, ref string) (*source.Source, error) {
	ref, err := a.fromProject(ref)
	if err != nil {
		return nil, err
	}
	opened, err := source.Open(ctx, a.client(insecure, 0), ref)
	var away *source.UnavailableError
	if errors.As(err, &away) {
		return nil, &sourceError{err, a.missingHint(ref)}
	}
	return opened, err
}

// openAll opens all images that a reference names: those of a layout or an archive if it names none of them.
func (a *app) openAll(ctx context.Context, insecure bool, ref string) ([]*source.Source, error) {
	ref, err := a.fromProject(ref)
	if err != nil {
		return nil, err
	}
	sources, err := source.OpenAll(ctx, a.client(insecure, 0), ref)
	var away *source.UnavailableError
	if errors.As(err, &away) {
		return nil, &sourceError{err, a.missingHint(ref)}
	}
	return sources, err
}

func (a *app) inspectCommand() *cobra.Command {
	var (
		verbose  bool
		asJSON   bool
		insecure bool
	)
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Show the platforms, digests and layers of an image",
		Long: `Describe an image or image index in a registry, a layout (oci:DIR:NAME), or an archive (FILE.tar, also compressed;
oci-archive:FILE:NAME; docker-archive:FILE:NAME). Without NAME, describe every image in the layout or archive.
With --verbose, print what docker manifest inspect --verbose prints.`,
		Example: `  multiarch inspect hello
  multiarch inspect registry.example.com/team/hello:v1 --json
  multiarch inspect --verbose docker.io/library/busybox`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verbose && asJSON {
				return usagef("--verbose is JSON already", "--verbose and --json exclude each other")
			}
			sources, err := a.openAll(cmd.Context(), insecure, args[0])
			if err != nil {
				return err
			}
			for _, s := range sources {
				defer s.Close()
			}
			return a.inspect(cmd.Context(), sources, verbose, asJSON)
		},
	}
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print what docker manifest inspect --verbose prints")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and untrusted certificates")
	return cmd
}

// inspect describes images. If there are several, each has its reference above it, or they are an array of JSON.
func (a *app) inspect(ctx context.Context, sources []*source.Source, verbose, asJSON bool) error {
	if verbose && len(sources) > 1 {
		return usagef("name one of them: "+sources[0].Name, "--verbose describes one image, and there are %d", len(sources))
	}
	var reports []*inspect.Report
	for _, s := range sources {
		if verbose {
			manifests, err := inspect.DockerManifests(ctx, s)
			if err != nil {
				return err
			}
			_, err = a.terminal.out.Write(manifests)
			return err
		}
		report, err := inspect.NewReport(ctx, s)
		if err != nil {
			return err
		}
		reports = append(reports, report)
	}
	switch {
	case asJSON && len(reports) == 1:
		return a.terminal.json(reports[0])
	case asJSON:
		return a.terminal.json(reports)
	case len(reports) == 1:
		return reports[0].Table(a.terminal.out)
	}
	for i, report := range reports {
		separator := ""
		if i > 0 {
			separator = "\n"
		}
		a.terminal.result("%s%s %s", separator, sources[i].Name, sources[i].Root.Digest)
		if err := report.Table(a.terminal.out); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) diffCommand() *cobra.Command {
	var (
		asJSON   bool
		insecure bool
	)
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what differs between two images",
		Long: `Compare two images or image indexes: platforms, config, files and layers. Explains why the digest changed. Exits
with 4 if they differ.`,
		Example: `  multiarch diff registry.example.com/team/hello:v1 oci:dist:hello
  multiarch diff hello:v1 hello:v2 --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var sources [2]*source.Source
			for i, ref := range args {
				opened, err := a.open(cmd.Context(), insecure, ref)
				if err != nil {
					return err
				}
				defer opened.Close()
				sources[i] = opened
			}
			difference, err := diff.Compare(cmd.Context(), sources[0], sources[1])
			if err != nil {
				return err
			}
			if asJSON {
				err = a.terminal.json(difference)
			} else if !difference.Empty() {
				_, err = difference.WriteTo(a.terminal.out)
			}
			if err == nil && !difference.Empty() {
				return errDiffers
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the differences as JSON")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and untrusted certificates")
	return cmd
}
