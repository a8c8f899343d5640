package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/registry"
)

func (a *app) registryCommand() *cobra.Command {
	var (
		address string
		dir     string
	)
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "Serve a registry on loopback for trying things out",
		Long:  `Serve a registry until interrupted. It asks nobody who they are, so it listens on loopback only. Prints its address.`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := net.SplitHostPort(address)
			if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return usagef("such as localhost:5000, or localhost:0 for any free port", "%q is not an address on loopback", address)
			}
			l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", address)
			if err != nil {
				return fmt.Errorf("starting the registry: %w", err)
			}
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				return err
			}
			a.terminal.result("localhost:%s", port)
			a.terminal.note("press Ctrl-C to stop; push to it with: multiarch push --registry localhost:%s", port)
			return registry.Serve(cmd.Context(), l, dir)
		},
	}
	cmd.Flags().StringVar(&address, "address", "localhost:5000", "where to listen; port 0 is any that is free")
	cmd.Flags().StringVar(&dir, "dir", "", "keep blobs in this folder; default: in memory")
	return cmd
}
