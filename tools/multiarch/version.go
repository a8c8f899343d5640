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

// versionLine returns the output of version and --version.
func versionLine() string {
	return fmt.Sprintf("multiarch %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// version returns the version that the go command recorded in this program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// fetchable returns the version, and reports whether the go command can download it: it was downloaded, or it is a tag.
// The pseudo-version of a build from a checkout may name a commit that was never pushed.
func fetchable() (string, bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", false
	}
	v := info.Main.Version
	return v, module.Check(info.Main.Path, v) == nil && !strings.Contains(v, "+") &&
		(info.Main.Sum != "" || !module.IsPseudoVersion(v))
}
