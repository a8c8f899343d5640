package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

func (a *app) releaseCommand() *cobra.Command {
	var (
		s selection
		o buildFlags
		p pushFlags
	)
	cmd := &cobra.Command{
		Use:   "release [IMAGE...]",
		Short: "Build images and publish them everywhere or nowhere",
		Long: `Build the image indexes of the named images, or of all images, and publish them in all their
repositories and on the mirrors: blobs, manifests and indexes by digest, then tags. Every digest is read back
before the first tag moves. An error before that leaves all tags unchanged (exit code 7). If a tag cannot be
moved, the moved ones are rolled back. A second run uploads only what is missing. Prints one line per tag: its
reference and digest.

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
				// bazel run starts programs in another directory and passes its own one in this variable.
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
			if s.share.runner != "" && len(r.Targets) == 0 {
				a.terminal.note("multiarch: the runner for %s builds nothing", s.share.runner)
				return nil
			}
			return a.publish(cmd, s, o, p, r, a.released)
		},
	}
	s.flags(cmd)
	s.share.flags(cmd)
	o.jobsAndInsecure(cmd)
	p.flags(cmd)
	p.publishing(cmd)
	o.verifyFlag(cmd)
	cmd.Flags().StringVar(&o.metadata, "metadata-file", "",
		"write the digest per image, repository and platform to this file, as JSON")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result, or the dry run, as JSON")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false,
		"build, but only print what would be uploaded and which tags would move")
	cmd.Flags().Var(&p.smoke, "smoke", "run the smoke test of each image first; =existing tests joined images only")
	cmd.Flags().Lookup("smoke").NoOptDefVal = string(smokeAll)
	cmd.Flags().StringVar(&p.part, "part", "",
		"release a part for a later --join: only this tag, only in the first repository")
	cmd.Flags().StringSliceVar(&p.join, "join", nil, "join the parts with these tags instead of building")
	cmd.Flags().StringVar(&p.layouts, "layouts", "",
		"with --part, directory of layouts built by Bazel, such as bazel-bin/images")
	checkFlag(cmd.Flags(), "part", reference.CheckTag)
	checkFlag(cmd.Flags(), "join", reference.CheckTag)
	cmd.Flags().StringVar(&p.prebuilt, "prebuilt", "",
		"publish the images that this file lists; written by //tools/rules for bazel run")
	_ = cmd.Flags().MarkHidden("prebuilt")
	return cmd
}

// released reports by image and repository.
func (a *app) released(o buildFlags, r *release.Release, artifacts []push.Artifact) error {
	all, err := r.Metadata()
	if err != nil {
		return err
	}
	written := o.writeMetadata(all) // if this fails, the report is still printed
	if o.json {
		return errors.Join(a.terminal.json(all), written)
	}
	for _, p := range artifacts {
		a.terminal.result("%s", withDigest(p))
	}
	return written
}

// previewRelease prints what a release would do, and sends nothing. It fails if the release would not move a tag.
func (a *app) previewRelease(cmd *cobra.Command, o buildFlags, r *release.Release) error {
	client := a.client(o.insecure, o.jobs)
	client.Hosts = r.Hosts()
	preview, err := push.NewPreview(cmd.Context(), client, r.Targets)
	if err != nil {
		return err
	}
	all, err := r.Metadata()
	if err != nil {
		return err
	}
	if err := o.writeMetadata(all); err != nil {
		return err
	}
	if o.json {
		all := struct {
			*push.Preview
			Redirected []config.Redirection `json:"redirected,omitempty"`
		}{preview, r.Redirected}
		if err := a.terminal.json(all); err != nil {
			return err
		}
	} else {
		for _, line := range slices.Concat(release.RedirectionLines(r.Redirected), release.PreviewLines(preview)) {
			a.terminal.result("%s", line)
		}
	}
	if err := preview.Err(); err != nil {
		return &pushError{err}
	}
	return nil
}
