package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/index"
	"github.com/multiarch-build/multiarch/tools/inspect"
	"github.com/multiarch-build/multiarch/tools/publish"
	"github.com/multiarch-build/multiarch/tools/registry"
)

func (a *app) indexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Join existing images to an index",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.indexCreateCommand())
	return cmd
}

// indexFlags are those of index create.
type indexFlags struct {
	outcome
	tags        []string
	append      bool
	replace     bool
	remove      []string
	annotations []string
	spec        string
	dry         bool
}

func (a *app) indexCreateCommand() *cobra.Command {
	var f indexFlags
	cmd := &cobra.Command{
		Use:   "create TARGET SRC[=PLATFORM]... | create --spec FILE [TARGET]",
		Short: "Push an image index made of existing images",
		Long: `Join existing images and indexes to an image index and push it to TARGET, a registry's reference, or write it to
oci:DIR:NAME. SRC is what multiarch inspect takes: a registry's reference, oci:DIR:NAME, an archive. Manifests stay byte
for byte what they are, of docker or OCI types; layers in other repositories of TARGET's registry are mounted, and those in
other registries copied; the tag moves last. Attestations in indexes are left out. Prints TARGET with its digest.

Where there is a multiarch.yaml, its registries: say how registries are spoken to.

The platform of an image is read from its config. SRC=PLATFORM says that it is another, such as app:armv6=linux/arm/v6
or app:ltsc2022=windows/amd64:10.0.20348.169; of an index with several images it chooses those for that platform.`,
		Example: `  multiarch index create onap/py-app onap/py-app-amd64 onap/py-app-arm64v8
  multiarch index create onap/py-app --append onap/py-app-s390x
  multiarch index create onap/py-app --remove linux/s390x`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.createIndex(cmd, f, args) },
	}
	f.flags(cmd)
	cmd.Flags().StringSliceVarP(&f.tags, "tag", "t", nil, "tags in TARGET's repository instead of TARGET's own")
	checkFlag(cmd.Flags(), "tag", publish.CheckTag)
	cmd.Flags().BoolVar(&f.append, "append", false, "add to the index that TARGET is now")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "with --append, take the place of images for the same platforms")
	cmd.Flags().StringSliceVar(&f.remove, "remove", nil, "take these platforms out of the index that TARGET is now, such as linux/s390x or windows/amd64:10.0.20348.169")
	cmd.Flags().StringArrayVar(&f.annotations, "annotation", nil, "annotations of the index, KEY=VALUE")
	cmd.Flags().StringVar(&f.spec, "spec", "", "a YAML file as manifest-tool push from-spec reads it, instead of SRC, and of TARGET")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "print the index, and push nothing")
	return cmd
}

// request is what index create was asked for.
type request struct {
	target  target
	wanted  []existing
	options index.Options
	tags    []string // all that are moved; those of -t replace the target's own and the spec's
	onto    v1.Hash  // the digest of options.Onto
}

func (a *app) createIndex(cmd *cobra.Command, f indexFlags, args []string) error {
	if err := f.checkMetadata(); err != nil {
		return err
	}
	client, err := a.clientHere(f.insecure, f.jobs)
	if err != nil {
		return err
	}
	client = client.Connected()
	r, err := a.indexRequest(f, client, args)
	if err != nil {
		return err
	}
	if f.append || len(f.remove) > 0 {
		if r.options.Onto, r.onto, err = standing(cmd.Context(), client, r.target); err != nil {
			return err
		}
	}
	j, err := join(cmd.Context(), client, r.wanted, r.options)
	if err != nil {
		return err
	}
	for _, note := range j.Notes {
		a.terminal.note("%s", note)
	}
	if f.dry {
		return a.dryIndex(r, j)
	}
	if r.target.dir == "" {
		if at := slices.Index(r.tags, r.target.tag); at >= 0 {
			r.tags[0], r.tags[at] = r.tags[at], r.tags[0] // Onto is about the first tag
		} else {
			r.onto = v1.Hash{} // the tag that the index was made from does not move
		}
		return a.publish(cmd, f.outcome, client.Hosts, []publish.Target{{
			Name: r.target.repository, Index: j.Index, Repository: r.target.repository, Tags: r.tags, Sources: j.sources, Onto: r.onto,
		}})
	}
	image := publish.Image{Name: r.target.name, Index: j.Index}
	if err := publish.AddToLayout(cmd.Context(), r.target.dir, []publish.Image{image}); err != nil {
		return err
	}
	digest, err := j.Index.Digest()
	if err != nil {
		return err
	}
	result := build.Result{Name: image.Name, Index: image.Index}
	return a.report(f.outcome, []build.Result{result}, map[string][]string{image.Name: {r.target.given + "@" + digest.String()}})
}

// dryIndex prints what would be pushed.
func (a *app) dryIndex(r *request, j *joined) error {
	digest, err := j.Index.Digest()
	if err != nil {
		return err
	}
	manifest, err := j.Index.IndexManifest()
	if err != nil {
		return err
	}
	a.terminal.note("%s would be %s", r.target.given, digest)
	return a.terminal.json(manifest)
}

// indexRequest understands what was typed.
func (a *app) indexRequest(f indexFlags, client registry.Client, args []string) (*request, error) {
	r := &request{options: index.Options{Replace: f.replace, Annotations: map[string]string{}}, tags: f.tags}
	to, sources := "", args
	if f.spec == "" || len(args) > 0 {
		if len(args) == 0 {
			return nil, usagef("multiarch index create TARGET SRC...", "TARGET is missing")
		}
		to, sources = args[0], args[1:]
	}
	if f.spec != "" {
		if len(sources) > 0 {
			return nil, usagef("name the images in "+f.spec+", or all here", "--spec and SRC exclude each other")
		}
		content, err := os.ReadFile(f.spec)
		if err != nil {
			return nil, fmt.Errorf("reading the spec: %w", err)
		}
		spec, err := index.ParseSpec(f.spec, content)
		if err != nil {
			return nil, err
		}
		if to == "" {
			to = spec.Image
		}
		if len(f.tags) == 0 {
			r.tags = spec.Tags
		}
		maps.Copy(r.options.Annotations, spec.Annotations) // those of flags come later, and win
		for _, m := range spec.Manifests {
			r.wanted = append(r.wanted, existing{m.Image, m.Platform})
		}
	}
	for _, s := range sources {
		w, err := parseSource(s)
		if err == nil {
			w.reference, err = a.fromProject(w.reference)
		}
		if err != nil {
			return nil, err
		}
		r.wanted = append(r.wanted, w)
	}
	for _, name := range f.remove {
		// Any word may be in an index that others have made; what is not there is said with what is.
		p, err := v1.ParsePlatform(name)
		if err != nil || p.Architecture == "" {
			return nil, usagef("such as linux/arm/v7", "--remove: %q is not a platform", name)
		}
		r.options.Remove = append(r.options.Remove, *p)
	}
	for _, pair := range f.annotations {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("such as --annotation org.opencontainers.image.version=1.2", "%q is no annotation", pair)
		}
		r.options.Annotations[key] = value
	}
	var err error
	if r.target, err = a.parseTarget(client, to); err != nil {
		return nil, err
	}
	switch {
	case r.target.dir != "" && len(r.tags) > 0:
		return nil, usagef("give the index a name only: oci:DIR:NAME", "tags are for registries, and %s is a layout", r.target.given)
	case f.replace && !f.append && len(f.remove) == 0:
		return nil, usagef("without --append the index is a new one anyway", "--replace is for --append")
	case len(r.wanted) == 0 && len(f.remove) == 0 && len(f.annotations) == 0:
		return nil, usagef("multiarch index create TARGET SRC...", "SRC is missing: what %s is made of", r.target.given)
	case len(r.wanted) == 0 && !f.append && len(f.remove) == 0:
		return nil, usagef("add --append to annotate the index there is", "SRC is missing: what %s is made of", r.target.given)
	}
	if r.target.dir == "" && len(f.tags) == 0 {
		r.tags = append([]string{r.target.tag}, r.tags...)
	}
	return r, nil
}

// parseSource reads SRC[=PLATFORM], where a platform of Windows may be followed by its version, as docker and
// containerd's tools write it: windows/amd64:10.0.20348.169.
func parseSource(s string) (existing, error) {
	at := strings.LastIndex(s, "=")
	if at < 0 {
		return existing{reference: s}, nil
	}
	name, version, _ := strings.Cut(s[at+1:], ":")
	p, err := arch.Parse(name)
	if err != nil {
		return existing{}, usageOf(fmt.Errorf("%s: %w", s, err))
	}
	if version != "" && p.OS != "windows" {
		return existing{}, usagef("write "+s[:at]+"="+name, "%s: only Windows has versions", s)
	}
	return existing{s[:at], &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: version}}, nil
}

// standing opens what the target is now.
func standing(ctx context.Context, client registry.Client, t target) (*index.Source, v1.Hash, error) {
	s, err := inspect.Open(ctx, client, t.given)
	if err != nil {
		return nil, v1.Hash{}, &sourceError{fmt.Errorf("the index to change: %w", err), "--append and --remove change an index that is there; without them it is a new one"}
	}
	return &index.Source{Name: t.given, Image: s.Image, Index: s.Index}, s.Root.Digest, nil
}
