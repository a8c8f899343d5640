package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
)

// writeStatus writes the git keys of the workspace status. The other keys, such as user and host, would prevent sharing
// a cache.
func writeStatus(_ context.Context, flags *flag.FlagSet, args []string) error {
	from := flags.String("from", "", "workspace status file")
	out := flags.String("out", "", "output: git keys")
	if err := parse(flags, args, "from", "out"); err != nil {
		return err
	}
	content, err := os.ReadFile(*from)
	if err != nil {
		return fmt.Errorf("reading the workspace status: %w", err)
	}
	var git strings.Builder
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "STABLE_GIT_") {
			git.WriteString(line)
		}
	}
	return writeBytes(*out, []byte(git.String()))
}
