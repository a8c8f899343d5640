package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/module"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  `Print the version of multiarch, the Go version that compiled it, and the platform it runs on.`,
		Example: `  multiarch version
  multiarch --version`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.terminal.result("%s", versionLine())
			return nil
		},
	}
}

// versionLine is what the command prints, and the flag --version.
func versionLine() string {
	return fmt.Sprintf("multiarch %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// version is what the go command recorded when it built this program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// fetchable is the version, and whether the go command can fetch it from elsewhere: it came from there, or is that of a
// tag. What was built from a checkout has a version made of its commit, which nobody else may have.
func fetchable() (string, bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", false
	}
	v := info.Main.Version
	return v, module.Check(info.Main.Path, v) == nil && !strings.Contains(v, "+") && (info.Main.Sum != "" || !module.IsPseudoVersion(v))
}
