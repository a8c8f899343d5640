package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/build/gobuild"
	"github.com/multiarch-build/multiarch/tools/internal/format"
)

func (a *app) cacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Check, measure or empty the cache",
		Long: `The cache holds layers, base images, packages and compiled programs. It is in MULTIARCH_CACHE, or in the user's
cache directory. It may be deleted at any time, even during a build.`,
		Example: `  multiarch cache size
  multiarch cache check
  MULTIARCH_CACHE=/var/cache/multiarch multiarch cache clean`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.cacheCheckCommand(), a.cacheSizeCommand(), a.cacheCleanCommand())
	return cmd
}

func (a *app) cacheCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read the whole cache and remove what is damaged",
		Long: `Compare every entry of the cache with its digest, and remove damaged entries. Prints their paths, and
exits with 4 if there are any. Builds check every entry that they use; this command also checks the others.`,
		Example: `  multiarch cache check
  MULTIARCH_CACHE=/var/cache/multiarch multiarch cache check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := store()
			if err != nil {
				return err
			}
			damaged, err := s.CheckEntries(cmd.Context())
			if err != nil {
				return err
			}
			programs, err := gobuild.CheckPrograms(cmd.Context(), s)
			if err != nil {
				return fmt.Errorf("checking compiled programs: %w", err)
			}
			damaged = append(damaged, programs...)
			for _, d := range damaged {
				a.terminal.result("%s", d.Path)
			}
			if len(damaged) == 0 {
				a.terminal.note("no damaged entries in the cache %s", s.Dir())
				return nil
			}
			entries := "a damaged entry"
			if n := len(damaged); n > 1 {
				entries = fmt.Sprintf("%d damaged entries", n)
			}
			a.terminal.note("removed %s from the cache %s; builds will recreate what they need", entries, s.Dir())
			return errDiffers
		},
	}
}

func (a *app) cacheSizeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "size",
		Short: "Print how much the cache holds",
		Long:  `Print the size of the cache, one line per kind of entry and one for the total.`,
		Example: `  multiarch cache size
  multiarch cache size --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := store()
			if err != nil {
				return err
			}
			all, err := s.Usage()
			if err != nil {
				return err
			}
			if asJSON {
				return a.terminal.json(all)
			}
			total := cache.Usage{Area: "total"}
			for _, u := range all {
				total.Files += u.Files
				total.Bytes += u.Bytes
			}
			for _, u := range append(all, total) {
				a.terminal.result("%-9s  %5d files  %9s", u.Area, u.Files, format.Bytes(u.Bytes))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the sizes as JSON")
	return cmd
}

func (a *app) cacheCleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove everything from the cache",
		Long: `Remove every entry of the cache. Other files in its directory stay. Running builds continue, but
take longer.`,
		Example: `  multiarch cache clean
  MULTIARCH_CACHE=/var/cache/multiarch multiarch cache clean`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := store()
			if err != nil {
				return err
			}
			return s.Clean()
		},
	}
}
