package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

func hintOf(word string, known []string) string { return suggest.Hint(word, known) }

// pushFlags select tags and what is published.
type pushFlags struct {
	tags []string
	// prebuilt is the file that lists the images built by Bazel; see prebuilt.go.
	prebuilt string
	// part is the tag of the platforms that one machine builds, for a later release --join.
	part string
	// join are the tags of parts that have been pushed.
	join []string
	// layouts is the directory of layouts that Bazel has built for a part.
	layouts string
	// dryRun disables uploads. Images then need no tags.
	dryRun bool
	// smoke selects the images to start before anything is sent.
	smoke smokeMode
	// fewer allows the configured tags to lose platforms.
	fewer bool
}

// publishing are flags of the commands that move tags in registries.
func (p *pushFlags) publishing(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.fewer, "allow-fewer-platforms", false, "allow tags to lose platforms")
}

// keepPlatforms reports whether tags must keep their platforms. Tags from --tag or --part need not.
func (p pushFlags) keepPlatforms() bool { return !p.fewer && p.tags == nil && p.part == "" }

func (p *pushFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&p.tags, "tag", "t", nil, "tags, instead of the configured ones")
	checkFlag(cmd.Flags(), "tag", reference.CheckTag)
}

func (a *app) client(insecure bool, jobs int) registry.Client {
	return registry.Client{Insecure: insecure, Jobs: jobs, Limits: a.limits, UserAgent: "multiarch/" + version()}
}

// clientHere is for commands that need no multiarch.yaml. If there is one, registries: has the connection settings.
func (a *app) clientHere(insecure bool, jobs int) (registry.Client, error) {
	client := a.client(insecure, jobs)
	file, err := a.find()
	if errors.Is(err, errNoConfig) {
		return client, nil
	}
	if err != nil {
		return client, err
	}
	c, err := readConfig(file)
	if err != nil {
		return client, err
	}
	client.Hosts = release.Hosts(c)
	return client, nil
}

func (a *app) pushCommand() *cobra.Command {
	var (
		s selection
		o buildFlags
		p pushFlags
	)
	cmd := &cobra.Command{
		Use:   "push [IMAGE...]",
		Short: "Build image indexes and push them",
		Long: `Build the image indexes of the named images, or of all images, and push them: blobs, manifests,
indexes by digest, and tags last, after everything that they refer to. Prints one line per tag: its reference
and digest.

"release" does the same after smoke tests, and writes metadata.`,
		Example: `  multiarch push
  multiarch push hello --tag v1.2.3
  multiarch push --registry localhost:5000/try`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE:              func(cmd *cobra.Command, images []string) error { return a.push(cmd, s, o, p, images) },
	}
	s.flags(cmd)
	o.flags(cmd)
	p.flags(cmd)
	p.publishing(cmd)
	o.verifyFlag(cmd)
	return cmd
}

// withDigest returns the reference of an artifact with its digest.
func withDigest(p push.Artifact) string {
	if strings.Contains(p.Reference, "@") {
		return p.Reference
	}
	return p.Reference + "@" + p.Digest.String()
}

// references returns the names of images in a container engine: those under which they would be pushed.
func (a *app) references(p *project, flags pushFlags) (map[string][]string, error) {
	targets, err := a.targets(p, flags)
	if err != nil {
		return nil, err
	}
	return release.References(targets), nil
}

// targets returns the destinations of every image of a plan.
func (a *app) targets(p *project, flags pushFlags) ([]push.Target, error) {
	return release.Targets(p.config, p.plan, p.vars, flags.options(a.terminal.note))
}

// options returns the tags that a release moves.
func (p pushFlags) options(note func(string, ...any)) release.TagOptions {
	return release.TagOptions{Tags: p.tags, KeepPlatforms: p.keepPlatforms(), Note: note}
}
