package main

import (
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/inspect"
)

func (a *app) inspectCommand() *cobra.Command {
	var (
		verbose  bool
		asJSON   bool
		insecure bool
	)
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Print the platforms, digests, sizes and shared layers of an image index",
		Long: `Print what a reference stands for: a registry's, oci:DIR:NAME, oci-archive:FILE:NAME, docker-archive:FILE, or FILE.tar.
With --verbose, print what docker manifest inspect --verbose prints.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verbose && asJSON {
				return usagef("--verbose is JSON already", "--verbose and --json exclude each other")
			}
			source, err := inspect.Open(cmd.Context(), a.client(insecure, 0), args[0])
			if err != nil {
				return err
			}
			defer source.Close()
			if verbose {
				manifests, err := inspect.DockerManifests(cmd.Context(), source)
				if err != nil {
					return err
				}
				_, err = a.terminal.out.Write(manifests)
				return err
			}
			report, err := inspect.NewReport(cmd.Context(), source)
			if err != nil {
				return err
			}
			if asJSON {
				return a.terminal.json(report)
			}
			return report.Table(a.terminal.out)
		},
	}
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print what docker manifest inspect --verbose prints")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and unknown certificates")
	return cmd
}
