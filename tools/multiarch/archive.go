package main

import (
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/publish/load"
)

func (a *app) archiveCommand() *cobra.Command {
	var (
		s      selection
		o      buildFlags
		p      pushFlags
		output string
		format string
	)
	cmd := &cobra.Command{
		Use:   "archive [IMAGE...] --output FILE",
		Short: "Build images into one OCI or docker archive",
		Long: `Build the named images, or all of them, into one archive. The default is the archive of an OCI layout with all
platforms. --format docker writes what "docker save" writes, for one platform.`,
		Example: `  multiarch archive --output images.tar
  multiarch archive hello --format docker --platform linux/arm64 --output hello.tar
  multiarch archive hello --output - | skopeo inspect oci-archive:/dev/stdin`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, images []string) error {
			if output == "" {
				return usagef("such as --output images.tar, or - for stdout", "--output is missing")
			}
			if err := o.checkMetadata(); err != nil {
				return err
			}
			project, err := a.load(cmd, s, images)
			if err != nil {
				return err
			}
			archive := load.Archive{Format: load.Format(format)}
			if archive.Format != load.OCI && archive.Format != load.Docker {
				return usagef(hintOf(format, []string{string(load.OCI), string(load.Docker)}), "unknown format %q", format)
			}
			if archive.References, err = a.references(project, p); err != nil {
				return err
			}
			built, err := a.carryOut(cmd, project, o, "")
			if err != nil {
				return err
			}
			if output == "-" {
				return archive.Write(cmd.Context(), a.terminal.out, published(built.results))
			}
			if err := archive.WriteFile(cmd.Context(), output, published(built.results)); err != nil {
				return err
			}
			return a.report(o, built.results, nil)
		},
	}
	s.flags(cmd)
	o.flags(cmd)
	p.flags(cmd)
	o.verifyFlag(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write, or - for stdout")
	cmd.Flags().StringVar(&format, "format", string(load.OCI), "format: oci or docker")
	return cmd
}
