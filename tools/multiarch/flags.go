package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// mostJobs is the maximum of --jobs, as of jobs: in multiarch.yaml.
const mostJobs = 256

// checked is a flag whose values are validated when flags are parsed.
type checked struct {
	pflag.Value
	check func(word string) error
}

// Set validates the value, or each element of a list, and sets it.
func (c *checked) Set(typed string) error {
	words := []string{typed}
	if c.Type() == "stringSlice" {
		words = strings.Split(typed, ",")
	}
	for _, word := range words {
		if err := c.check(word); err != nil {
			return err
		}
	}
	return c.Value.Set(typed)
}

// checkFlag makes a flag reject the values that check rejects.
func checkFlag(flags *pflag.FlagSet, name string, check func(word string) error) {
	f := flags.Lookup(name)
	f.Value = &checked{f.Value, check}
	if f.DefValue == "[]" {
		f.DefValue = "" // help would say it otherwise, of a type that it does not know
	}
}

// refuseEmpty makes string flags reject empty values, which usually come from unset variables: the command would do
// something else than intended. Flags of NAME=value pairs validate themselves and may have empty values.
func refuseEmpty(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() != "string" && f.Value.Type() != "stringSlice" {
			return
		}
		what := "is empty"
		if f.Value.Type() == "stringSlice" {
			what = "is empty or has an empty element"
		}
		checkFlag(flags, f.Name, func(word string) error {
			if word == "" {
				return usagef("check that the variable it comes from is set, or omit the flag", "--%s %s", f.Name, what)
			}
			return nil
		})
	})
}

// jobsFlag defines --jobs.
func jobsFlag(flags *pflag.FlagSet, jobs *int) {
	flags.IntVarP(jobs, "jobs", "j", 0, "parallel jobs (default: number of CPUs)")
	checkFlag(flags, "jobs", func(typed string) error {
		if n, err := strconv.Atoi(typed); err != nil || n < 0 || n > mostJobs {
			return usagef("0 means the number of CPUs", "--jobs: %q is not a number between 0 and %d", typed, mostJobs)
		}
		return nil
	})
}

// flagError turns errors of flags into usage errors.
func flagError(cmd *cobra.Command, err error) error {
	var (
		own     *fault.Error
		hinting fault.Hinter
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
	)
	hint := "see: " + cmd.CommandPath() + " --help"
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &invalid) && errors.As(err, &hinting):
		return usagef(hinting.Hint(), "--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &unknown):
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				known = append(known, f.Name)
			}
		})
		if near := suggest.Of(unknown.GetSpecifiedName(), known); near != "" {
			hint = "did you mean --" + near + "? " + hint
		}
	}
	return usagef(hint, "%w", err)
}
