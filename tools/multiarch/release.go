package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/plan"
)

// release is what is to be published, and how.
type release struct {
	targets []push.Target
	hosts   map[string]registry.Host
	// config is nil if Bazel has built targets that were written by hand.
	config *config.Config
	// registry takes the place of every registry of the configuration, as redirected says; "" if there is none.
	registry   string
	redirected []config.Redirection
}

func (a *app) releaseCommand() *cobra.Command {
	var (
		s     selection
		o     buildFlags
		p     pushFlags
		smoke smokeMode
	)
	cmd := &cobra.Command{
		Use:   "release [IMAGE...]",
		Short: "Build images and publish them everywhere or nowhere",
		Long: `Build the image indexes of the named images, or of all images, and publish them in all their repositories and on
the mirrors: blobs, manifests and indexes by digest, then tags. Every digest is read back before the first tag
moves. An error before that leaves all tags unchanged (exit code 7). If a tag cannot be moved, the moved ones are
rolled back. A second run uploads only what is missing. Prints one line per tag: its reference and digest.

"release" is "push" with smoke tests and metadata.

With --join, nothing is built. Several machines have each released some platforms as a part, with --platform and
--part. The parts are joined as by "index create". Tags move only if each image has all its platforms. --runner
and --runners select the platforms that one runner of a pipeline builds.`,
		Example: `  multiarch release --dry-run
  multiarch release --smoke --metadata-file release.json
  multiarch release --join v1-amd64,v1-arm64`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, images []string) error {
			if dir := os.Getenv("BUILD_WORKING_DIRECTORY"); p.prebuilt != "" && dir != "" {
				// bazel run starts programs in a folder of its own and says here where it was itself started.
				for _, file := range []*string{&o.metadata, &a.file} {
					if *file != "" && !filepath.IsAbs(*file) {
						*file = filepath.Join(dir, *file)
					}
				}
			}
			r, err := a.prepare(cmd, s, o, p, images)
			if err != nil {
				return err
			}
			if s.share.runner != "" && len(r.targets) == 0 {
				a.terminal.note("multiarch: the runner for %s builds nothing", s.share.runner)
				return nil
			}
			if smoke != "" {
				if err := a.smoke(cmd.Context(), r, smoke, s.share.runner == ""); err != nil {
					return err
				}
			}
			if err := confined(r.registry, r.targets); err != nil {
				return err
			}
			if p.dryRun {
				return a.previewRelease(cmd, o, r)
			}
			a.noteRedirected(r.redirected)
			pushed, err := a.transfer(cmd, o, r.hosts, r.targets)
			if err != nil {
				return err
			}
			return a.released(o, r, pushed)
		},
	}
	s.flags(cmd)
	s.share.flags(cmd)
	o.jobsAndInsecure(cmd)
	p.flags(cmd)
	p.publishing(cmd)
	o.verifyFlag(cmd)
	cmd.Flags().StringVar(&o.metadata, "metadata-file", "", "write the digest per image, repository and platform to this file, as JSON")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result, or the dry run, as JSON")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "build, but only print what would be uploaded and which tags would move")
	cmd.Flags().Var(&smoke, "smoke", "run the smoke test of each image first; =existing tests joined images only")
	cmd.Flags().Lookup("smoke").NoOptDefVal = string(smokeAll)
	cmd.Flags().StringVar(&p.part, "part", "", "release a part for a later --join: only this tag, only in the first repository")
	cmd.Flags().StringSliceVar(&p.join, "join", nil, "join the parts with these tags instead of building")
	cmd.Flags().StringVar(&p.layouts, "layouts", "", "with --part, directory of layouts built by Bazel, such as bazel-bin/images")
	checkFlag(cmd.Flags(), "part", reference.CheckTag)
	checkFlag(cmd.Flags(), "join", reference.CheckTag)
	cmd.Flags().StringVar(&p.prebuilt, "prebuilt", "", "publish the images that this file lists; written by //tools/rules for bazel run")
	_ = cmd.Flags().MarkHidden("prebuilt")
	return cmd
}

// prepare builds what is to be released, or finds what Bazel has built.
func (a *app) prepare(cmd *cobra.Command, s selection, o buildFlags, p pushFlags, images []string) (*release, error) {
	if p.prebuilt != "" {
		if len(images) > 0 || len(s.platforms) > 0 || len(p.join) > 0 || p.part != "" {
			return nil, usagef("change it in multiarch.yaml, and run multiarch generate", "what Bazel has built is released as a whole")
		}
		return a.prebuiltRelease(cmd, s, o, p)
	}
	if p.part != "" {
		if len(p.join) > 0 || p.tags != nil {
			return nil, usagef("the real tags are those of the release that joins the parts", "--part excludes --join and --tag")
		}
		p.tags = []string{p.part} // so that it may have few platforms
	} else if s.share.runner != "" || p.layouts != "" {
		return nil, usagef("such as --part ci-$RUN-amd64", "--runner and --layouts are for a --part of a release")
	}
	s.elsewhere = len(p.join) > 0 || p.layouts != ""
	project, targets, err := a.made(cmd, s, o, p, images)
	if err != nil {
		return nil, err
	}
	return &release{targets, project.registries(), project.config, project.registry, project.redirected()}, nil
}

// parts keeps what --join looks for: the first repository of each image. Single images, further repositories and mirrors
// are for what all parts make together; nor is the tag of a part one that has to stay.
func parts(targets []push.Target) []push.Target {
	var first []push.Target
	for _, t := range targets {
		if !slices.ContainsFunc(first, func(f push.Target) bool { return f.Name == t.Name }) {
			t.PerPlatform, t.Immutable = nil, nil
			first = append(first, t)
		}
	}
	return first
}

// join makes every image that would be built one that is joined from its parts, which are under these tags in its first
// repository. All of its platforms have to be there, though not under every tag: not every machine builds for every image.
func (p *project) join(ctx context.Context, client registry.Client, tags []string) error {
	puller, err := remote.NewPuller(client.Options(ctx)...)
	if err != nil {
		return fmt.Errorf("preparing to read parts: %w", err)
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(max(client.Jobs, 8))
	for n := range p.plan.Images {
		i := &p.plan.Images[n]
		if len(i.Children) == 0 {
			continue // it is joined from others anyway
		}
		for _, c := range i.Children {
			i.Platforms = append(i.Platforms, c.Platform)
		}
		i.Children = nil
		all.Go(func() error {
			var err error
			if i.From, err = partsOf(ctx, client, puller, i.Push.Repository, tags); err != nil {
				return &sourceError{fmt.Errorf("image %s: %w", i.Name, err), "see that the registry can be reached from here, and that the login may read there"}
			}
			return nil
		})
	}
	return all.Wait()
}

// partsOf are the parts of an image that are in a repository, or, so that joining them says what is wrong, those that could
// be.
func partsOf(ctx context.Context, client registry.Client, puller *remote.Puller, repository string, tags []string) ([]plan.From, error) {
	var there, missing []plan.From
	for _, tag := range tags {
		part := plan.From{Reference: repository + ":" + tag}
		ref, err := client.Parse(part.Reference)
		if err != nil {
			return nil, err
		}
		var answer *transport.Error
		switch _, err := puller.Get(ctx, ref); {
		case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
			missing = append(missing, part)
		case err != nil:
			return nil, fmt.Errorf("asking for %s: %w", part.Reference, err)
		default:
			there = append(there, part)
		}
	}
	if len(there) == 0 {
		return missing, nil
	}
	return there, nil
}

// released says what was published.
func (a *app) released(o buildFlags, r *release, pushed []push.Artifact) error {
	all, err := r.metadata()
	if err != nil {
		return err
	}
	written := o.writeMetadata(all) // whatever comes of it, what was published is said
	if o.json {
		return errors.Join(a.terminal.json(all), written)
	}
	for _, p := range pushed {
		a.terminal.result("%s", full(p))
	}
	return written
}
