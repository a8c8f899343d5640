package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/examine/inspect"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// buildFlags are shared by all commands that build.
type buildFlags struct {
	jobs     int
	insecure bool
	metadata string
	json     bool
	// noVerify leaves out the checks of finished images.
	noVerify bool
}

func (o *buildFlags) jobsAndInsecure(cmd *cobra.Command) {
	jobsFlag(cmd.Flags(), &o.jobs)
	cmd.Flags().BoolVar(&o.insecure, "insecure", false, "allow plain HTTP and untrusted certificates")
}

func (o *buildFlags) flags(cmd *cobra.Command) {
	o.jobsAndInsecure(cmd)
	cmd.Flags().StringVar(&o.metadata, "metadata-file", "", "write the digests of what was built to this file, as JSON")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the digests of what was built as JSON")
}

func (a *app) buildCommand() *cobra.Command {
	var (
		s      selection
		o      buildFlags
		output string
		push   bool
		p      pushFlags
	)
	cmd := &cobra.Command{
		Use:   "build [IMAGE...]",
		Short: "Build image indexes into an OCI layout",
		Long: `Build the image indexes of the named images, or of all images, into one OCI layout. Other tools read it as
oci:dist:NAME. Prints one line per image: its name and the digest of its index.

"build --push" is the same as "push".`,
		Example: `  multiarch build
  multiarch build hello --platform linux/arm64,linux/s390x
  multiarch build --output /tmp/layout --metadata-file images.json`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, images []string) error {
			if push && cmd.Flags().Changed("output") {
				return usagef("run build twice to do both; the second run uses the cache",
					"--push and --output cannot be combined: --push writes no layout")
			}
			if push {
				return a.push(cmd, s, o, p, images)
			}
			if err := o.checkMetadata(); err != nil {
				return err
			}
			project, err := a.load(cmd, s, images)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(output) && !cmd.Flags().Changed("output") {
				output = filepath.Join(project.top, output)
			}
			built, err := a.carryOut(cmd, project, o, output)
			if err != nil {
				return err
			}
			var keep []string
			for name := range project.config.Images {
				keep = append(keep, name)
			}
			progress := a.terminal.progress()
			write := func() error { return layout.Write(cmd.Context(), output, published(built.results), keep) }
			err = progress.during(output, "write", write)
			progress.finish()
			if err != nil {
				return fmt.Errorf("writing %s: %w", output, err)
			}
			if err := a.tables(cmd.Context(), built.results); err != nil {
				return err
			}
			return a.report(o, built.results, nil)
		},
	}
	s.flags(cmd)
	o.flags(cmd)
	p.flags(cmd)
	p.publishing(cmd)
	o.verifyFlag(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", layoutDir, "OCI layout to write (default: dist at the top of the tree)")
	cmd.Flags().BoolVar(&push, "push", false, "push instead of writing a layout, like the push command")
	return cmd
}

// builtImages are the images of a plan.
type builtImages struct {
	results []build.Result
	// repositories maps the layers of base images, and the blobs of joined images, to their repositories.
	repositories map[v1.Hash]name.Repository
}

// carryOut builds a plan and verifies the images. layoutDir is the OCI layout that the caller will write, or "".
func (a *app) carryOut(cmd *cobra.Command, p *project, o buildFlags, layoutDir string) (*builtImages, error) {
	if err := build.Check(p.config, p.plan, p.top, layoutDir); err != nil {
		return nil, err
	}
	cache, err := store()
	if err != nil {
		return nil, err
	}
	client := a.client(o.insecure, o.jobs)
	client.Hosts = release.Hosts(p.config)
	client = client.Connected()
	puller := pull.NewPuller(client, cache)
	puller.KeepLayers = layoutDir != "" // all layers are read to write the layout
	baseImages := &bases{puller: puller}
	a.noteWithoutSecurity(p)
	progress := a.terminal.progress()
	defer progress.finish()
	for _, i := range p.plan.Images {
		progress.expect(len(i.Children))
	}
	var observe func() build.LayerObserver
	if !o.noVerify {
		observe = func() build.LayerObserver { return verify.NewObserver(cache) }
	}
	results, err := a.runEngine(cmd.Context(), p.plan, baseImages, client, build.Options{
		Dir: p.top, Store: cache, Jobs: o.jobs, Observe: observe, Progress: progress.event, Started: progress.step,
		Pull: baseImages.opener(cmd.Context()), Debian: debian.Fetcher{Mirrors: mirrors, Notify: progress.note},
	})
	if err != nil {
		return nil, placed(p.config, err)
	}
	if layoutDir != "" {
		// The layout takes all layers, so download them in parallel.
		fetch := func() error { return baseImages.fetch(cmd.Context()) }
		if err := progress.during("base images", string(build.Download), fetch); err != nil {
			return nil, err
		}
	}
	built := &builtImages{results, baseImages.repositories()}
	if o.noVerify {
		return built, nil
	}
	checks := a.newChecks(p.config, cache, len(p.selected) == 0)
	checks.downloaded(cache, built.repositories)
	return built, progress.during("images", "verify", func() error { return checks.verify(cmd.Context(), results) })
}

// placed adds the position in the configuration to an error about a value that does not fit the image's base.
func placed(c *config.Config, err error) error {
	var (
		of  *build.SettingsError
		env *image.EnvError
	)
	if !errors.As(err, &of) || !errors.As(err, &env) {
		return err
	}
	return config.Errors{
		c.Errorf(c.ValuePath(of.Image, &of.Platform, "env", env.Name), env.Hint(), "%s: %s", of.Platform, env.What),
	}
}

// tables prints a summary of each image to stderr.
func (a *app) tables(ctx context.Context, results []build.Result) error {
	for _, r := range results {
		if a.terminal.quiet {
			break
		}
		root, err := partial.Descriptor(r.Index)
		if err != nil {
			return fmt.Errorf("describing %s: %w", r.Name, err)
		}
		report, err := inspect.NewReport(ctx, &source.Source{Name: r.Name, Root: *root, Index: r.Index})
		if err != nil {
			return fmt.Errorf("describing %s: %w", r.Name, err)
		}
		a.terminal.note("\n%s %s", r.Name, root.Digest)
		if err := report.Table(a.terminal.err, false); err != nil {
			return err
		}
	}
	a.terminal.note("")
	return nil
}

func published(results []build.Result) []content.Image {
	images := make([]content.Image, len(results))
	for i, r := range results {
		images[i] = content.Image{Name: r.Name, Index: r.Index}
	}
	return images
}

// report prints a line per image, or JSON. pushed holds the references of images that were pushed.
func (a *app) report(o buildFlags, results []build.Result, pushed map[string][]string) error {
	all := map[string]release.ImageMetadata{}
	for _, r := range results {
		m, err := release.NewImageMetadata(r.Index)
		if err != nil {
			return fmt.Errorf("describing %s: %w", r.Name, err)
		}
		m.Pushed = pushed[r.Name]
		all[r.Name] = m
	}
	written := o.writeMetadata(all) // on failure, the images are still printed
	if o.json {
		return errors.Join(a.terminal.json(all), written)
	}
	for _, r := range results {
		if len(pushed[r.Name]) == 0 {
			a.terminal.result("%s %s", r.Name, all[r.Name].Digest)
		}
		for _, ref := range pushed[r.Name] {
			a.terminal.result("%s", ref)
		}
	}
	return written
}

// replaceable returns an error for a device, a pipe or a directory, which a file must not replace.
func replaceable(name string) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return &inputfile.KindError{Path: name, Mode: info.Mode()}
	}
	return nil
}

// writeFile replaces a file atomically.
func writeFile(name string, content []byte) error {
	if err := replaceable(name); err != nil {
		return err
	}
	return atomicfile.Write(name, 0o644, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// checkMetadata makes sure that the metadata file can be written, before anything is done that it would describe.
func (o buildFlags) checkMetadata() error {
	if o.metadata == "" {
		return nil
	}
	err := replaceable(o.metadata)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(filepath.Dir(o.metadata), "."+filepath.Base(o.metadata)+"-"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("the metadata could not be written: %w", err)
	}
	return nil
}

// writeMetadata writes the metadata file, if there is one.
func (o buildFlags) writeMetadata(all any) error {
	if o.metadata == "" {
		return nil
	}
	content, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = writeFile(o.metadata, append(content, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the metadata: %w", err)
	}
	return nil
}
