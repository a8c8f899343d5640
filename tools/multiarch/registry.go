package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

func (a *app) registryCommand() *cobra.Command {
	var (
		address string
		dir     string
	)
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "Serve a registry on localhost for tests",
		Long: `Serve a registry until interrupted, and print its address. It needs no login, so it listens on
loopback addresses only. Manifests and tags are kept in memory. With --dir, blobs are kept between runs and
need not be uploaded again.`,
		Example: `  multiarch registry
  multiarch registry --address localhost:0 --dir /tmp/blobs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := net.SplitHostPort(address)
			if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return usagef("use localhost:5000, or localhost:0 for a free port", "%q is not a loopback address", address)
			}
			if dir != "" {
				if err := blobFolder(dir); err != nil {
					return fmt.Errorf("creating the blob directory %s: %w", dir, err)
				}
			}
			l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", address)
			if err != nil {
				return usagef("choose another address with --address; port 0 selects a free port", "starting the registry: %w", err)
			}
			if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
				return errors.Join(usagef("use an address such as 127.0.0.1:5000",
					"%q resolves to %s, which is not a loopback address", address, l.Addr()), l.Close())
			}
			where := reachedAt(host, l.Addr())
			a.terminal.result("%s", where)
			a.terminal.note("press Ctrl-C to stop; push to it with: multiarch push --registry %s", where)
			return registry.Serve(cmd.Context(), l, dir)
		},
	}
	cmd.Flags().StringVar(&address, "address", "localhost:5000",
		"loopback address to listen on; port 0 selects a free port")
	cmd.Flags().StringVar(&dir, "dir", "", "directory for blobs (default: in memory)")
	return cmd
}

// reachedAt returns the address for clients: the listener's, with the name localhost if the user chose it.
func reachedAt(requested string, l net.Addr) string {
	host, port, err := net.SplitHostPort(l.String())
	if err != nil {
		return l.String()
	}
	if requested == "localhost" && host == "127.0.0.1" {
		host = requested
	}
	return net.JoinHostPort(host, port)
}

// blobFolder creates dir and checks that it is writable, so that the error comes before the first push. It does not
// create parent directories, because the path may be misspelt.
func blobFolder(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.CreateTemp(dir, ".multiarch-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
