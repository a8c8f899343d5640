package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
)

// writeStatus takes what is known of git out of the workspace status. The rest of it, such as who builds and where,
// would make what is done with it something that no two people share a cache of.
func writeStatus(_ context.Context, flags *flag.FlagSet, args []string) error {
	from := flags.String("from", "", "the workspace status file")
	out := flags.String("out", "", "the file to write")
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
