package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// configured returns the configuration for completion, or nil if there is none or it is invalid.
func (a *app) configured() *config.Config {
	file, err := a.find()
	if err != nil {
		return nil
	}
	c, err := readConfig(file)
	if err != nil {
		return nil
	}
	return c
}

// completeImages completes the names of the configured images.
func (a *app) completeImages(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c := a.configured()
	if c == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(c.Images)), cobra.ShellCompDirectiveNoFileComp
}

// completePlatforms completes the platforms of the images in args, or of all images, and without a configuration those
// of the architecture table. The last element of a comma-separated list is completed.
func (a *app) completePlatforms(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	var known []string
	if c := a.configured(); c != nil {
		has := map[arch.Platform]bool{}
		for name := range c.Images {
			if len(args) == 0 || slices.Contains(args, name) {
				for _, p := range c.PlatformsOf(name) {
					has[p] = true
				}
			}
		}
		for _, row := range arch.Table() {
			if has[row.Platform] {
				known = append(known, row.String())
			}
		}
	}
	if len(known) == 0 {
		known = arch.Names()
	}
	complete := typed[:strings.LastIndex(typed, ",")+1]
	given := strings.Split(complete, ",")
	var offered []string
	for _, name := range known {
		if !slices.Contains(given, name) {
			offered = append(offered, complete+name)
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}
