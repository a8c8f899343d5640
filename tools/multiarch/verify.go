package main

import (
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/finding"
	"github.com/multiarch-build/multiarch/tools/inspect"
)

func (a *app) verifyCommand() *cobra.Command {
	var (
		asJSON   bool
		insecure bool
		allow    []string
	)
	cmd := &cobra.Command{
		Use:   "verify REF",
		Short: "Prove that every image of an index is what it says it is",
		Long: `Read everything a reference stands for and check every image: descriptor, config and programs name the same platform;
the entrypoint exists, is complete and executable; its interpreter and its shared libraries exist; the user and the
working directory exist; digests, sizes and diffIDs are those of the bytes. Prints a line per problem and exits with 4
if there is one. build, push, release, load and archive make the same checks before they write or publish anything.

A problem has one of these kinds, unless it is damage; --allow, and allow: in multiarch.yaml, permit it by its kind:

  missing-entrypoint   the entrypoint, or the command, does not exist
  invalid-entrypoint   it is not executable, or not a program
  wrong-platform       a program is for another platform, or needs a newer processor
  incomplete-program   the end of a program or library is missing
  missing-interpreter  what a #! line asks for, or the dynamic loader, does not exist
  missing-library      a shared library of what is started does not exist
  unknown-user         user: is a name that is not in /etc/passwd or /etc/group
  missing-workdir      the working directory does not exist
  not-examined         something is too large or too involved to be checked`,
		Example: `  multiarch verify registry.example.com/team/hello:v1
  multiarch verify oci:dist:hello --json
  multiarch verify oci:dist:tools --allow missing-interpreter`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := a.open(cmd.Context(), insecure, args[0])
			if err != nil {
				return err
			}
			defer source.Close()
			verdict, err := inspect.Verify(cmd.Context(), source)
			if err != nil {
				return err
			}
			var kinds []finding.Kind
			for _, name := range allow {
				kinds = append(kinds, finding.Kind(name))
			}
			verdict.Allow(kinds...)
			for _, note := range verdict.Notes {
				a.terminal.note("note: %s", note)
			}
			if asJSON {
				err = a.terminal.json(verdict)
			} else {
				for _, problem := range verdict.Problems {
					a.terminal.result("%s", problem)
				}
			}
			if err == nil && len(verdict.Problems) > 0 {
				return errDiffers
			}
			if verdict.Children == 1 {
				a.terminal.note("%s: 1 image is what it says it is", args[0])
			} else {
				a.terminal.note("%s: %d images are what they say they are", args[0], verdict.Children)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as JSON")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and unknown certificates")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "kinds of problems to permit")
	checkFlag(cmd.Flags(), "allow", func(word string) error { return new(finding.Kind).UnmarshalText([]byte(word)) })
	return cmd
}
