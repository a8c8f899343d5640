package main

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// documentedCommands returns all commands except Cobra's own.
func documentedCommands() []*cobra.Command {
	a := &app{terminal: newTerminal(io.Discard, io.Discard), limits: &registry.Limits{}}
	var all []*cobra.Command
	var add func(*cobra.Command)
	add = func(cmd *cobra.Command) {
		all = append(all, cmd)
		for _, c := range cmd.Commands() {
			if c.Name() != "help" && c.Name() != "completion" {
				add(c)
			}
		}
	}
	add(a.command())
	return all
}

func TestEveryCommandIsDescribed(t *testing.T) {
	for _, cmd := range documentedCommands() {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			assert.LessOrEqual(t, utf8.RuneCountInString(cmd.Short), 60, "%q is too long", cmd.Short)
			assert.Regexp(t, `^[A-Z].*[^.]$`, cmd.Short)
			assert.NotEmpty(t, cmd.Example)
			cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
				assert.NotEmpty(t, f.Usage, "--%s", f.Name)
				assert.NotRegexp(t, `\.$`, f.Usage, "--%s", f.Name)
			})
		})
	}
}

// exampleCommand matches the part of a line that the shell passes to multiarch.
var exampleCommand = regexp.MustCompile(`^  (?:.* \| |[A-Z_]+=\S+ )?multiarch ?([^|<>]*)`)

func TestEveryExampleIsValid(t *testing.T) {
	for _, documented := range documentedCommands() {
		lines := strings.Split(documented.Example, "\n")
		assert.GreaterOrEqual(t, len(lines), 2, documented.CommandPath())
		assert.LessOrEqual(t, len(lines), 4, documented.CommandPath())
		for _, line := range lines {
			t.Run(strings.TrimSpace(line), func(t *testing.T) {
				match := exampleCommand.FindStringSubmatch(line)
				require.NotNil(t, match)
				// Parsing changes a command, so each example has its own.
				cmd, rest, err := documentedCommands()[0].Find(strings.Fields(match[1]))
				require.NoError(t, err)
				assert.True(t, strings.HasPrefix(cmd.CommandPath(), documented.CommandPath()) || cmd.Parent() == nil,
					"an example of %s", documented.CommandPath())
				cmd.InitDefaultHelpFlag()
				cmd.InitDefaultVersionFlag()
				require.NoError(t, cmd.ParseFlags(rest))
				assert.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()))
			})
		}
	}
}
