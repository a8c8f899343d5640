package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
)

func (a *app) platformsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "platforms",
		Short: "List all known platforms",
		Long: `List the rows of the architecture table: the prefix of Docker's official images, Debian's
architecture, the target of the Go compiler, the header of executables, and the qemu-user program.`,
		Example: `  multiarch platforms
  multiarch platforms --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.terminal.json(arch.Table())
			}
			w := tabwriter.NewWriter(a.terminal.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PLATFORM\tOFFICIAL\tDEBIAN\tGO\tEXECUTABLE\tQEMU")
			for _, r := range arch.Table() {
				level := r.Go.Level.Name + "=" + r.Go.Level.Value
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r, r.Official, orDash(r.Debian),
					r.Go.Arch+strings.TrimSuffix(" "+level, " ="),
					fmt.Sprintf("%s %d-bit %s %#x", r.Header.Format, r.Header.Bits, r.Header.Order, r.Header.Machine),
					orDash(r.QEMU.Name))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return cmd
}
