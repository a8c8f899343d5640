package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/examine/diff"
	"github.com/multiarch-build/multiarch/tools/examine/inspect"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/publish/release"
)

// open opens the image or index that a reference names.
func (a *app) open(ctx context.Context, insecure bool, ref string) (*source.Source, error) {
	ref, err := a.fromProject(ref)
	if err != nil {
		return nil, err
	}
	opened, err := source.Open(ctx, a.client(insecure, 0), ref)
	var away *source.UnavailableError
	if errors.As(err, &away) {
		return nil, &release.SourceError{Err: err, Advice: a.missingHint(ref)}
	}
	return opened, err
}

// openAll opens the images that a reference names. A layout or an archive without a name selects all of its images.
func (a *app) openAll(ctx context.Context, insecure bool, ref string) ([]*source.Source, error) {
	ref, err := a.fromProject(ref)
	if err != nil {
		return nil, err
	}
	sources, err := source.OpenAll(ctx, a.client(insecure, 0), ref)
	var away *source.UnavailableError
	if errors.As(err, &away) {
		return nil, &release.SourceError{Err: err, Advice: a.missingHint(ref)}
	}
	return sources, err
}

func (a *app) inspectCommand() *cobra.Command {
	var (
		verbose  bool
		asJSON   bool
		insecure bool
		noTrunc  bool
	)
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Show the platforms, digests and layers of an image",
		Long: `Describe an image or image index in a registry, a layout (oci:DIR:NAME), or an archive (FILE.tar,
also compressed; oci-archive:FILE:NAME; docker-archive:FILE:NAME). Without NAME, inspect describes every image
in the layout or archive. --no-trunc and --json print full digests. --verbose prints the output of docker
manifest inspect --verbose.`,
		Example: `  multiarch inspect registry.example.com/team/hello:v1
  multiarch inspect oci:dist:hello --no-trunc
  multiarch inspect images.tar --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verbose && asJSON {
				return usagef("--verbose prints JSON already", "--verbose and --json exclude each other")
			}
			sources, err := a.openAll(cmd.Context(), insecure, args[0])
			if err != nil {
				return err
			}
			for _, s := range sources {
				defer s.Close()
			}
			return a.inspect(cmd.Context(), sources, inspectOptions{verbose: verbose, json: asJSON, fullDigests: noTrunc})
		},
	}
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print the output of docker manifest inspect --verbose")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.Flags().BoolVar(&noTrunc, "no-trunc", false, "print full digests")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and untrusted certificates")
	return cmd
}

// inspectOptions are the flags of inspect.
type inspectOptions struct{ verbose, json, fullDigests bool }

// inspect describes images. Several images have their references as titles, or are a JSON array.
func (a *app) inspect(ctx context.Context, sources []*source.Source, o inspectOptions) error {
	if o.verbose && len(sources) > 1 {
		return usagef("select one of them: "+sources[0].Name, "--verbose describes one image, not %d", len(sources))
	}
	var reports []*inspect.Report
	for _, s := range sources {
		if o.verbose {
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
	case o.json && len(reports) == 1:
		return a.terminal.json(reports[0])
	case o.json:
		return a.terminal.json(reports)
	case len(reports) == 1:
		return reports[0].Table(a.terminal.out, o.fullDigests)
	}
	for i, report := range reports {
		separator := ""
		if i > 0 {
			separator = "\n"
		}
		a.terminal.result("%s%s %s", separator, sources[i].Name, inspect.FormatDigest(report.Digest, o.fullDigests))
		if err := report.Table(a.terminal.out, o.fullDigests); err != nil {
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
		Long: `Compare two images or image indexes: platforms, configs, layers and files. diff reads only what
differs, and exits with 4 if anything does.`,
		Example: `  multiarch diff registry.example.com/team/hello:v1 registry.example.com/team/hello:v2
  multiarch diff oci:dist:hello registry.example.com/team/hello:v1 --json`,
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
