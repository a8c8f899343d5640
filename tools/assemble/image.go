package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// imageFlags are the inputs and outputs of an image.
type imageFlags struct {
	subject
	settings, base, commit       string
	status, tagPrefix            string
	layers, allow                list
	manifest, config, descriptor string
}

func parseImage(flags *flag.FlagSet, args []string) (imageFlags, error) {
	var f imageFlags
	f.flags(flags)
	flags.StringVar(&f.tagPrefix, "tag-prefix", "", "prefix of the git tags that templates use")
	flags.StringVar(&f.settings, "settings", "", "JSON with settings of the config and annotations of the manifest")
	flags.StringVar(&f.base, "base", "", "JSON that describes the base image")
	flags.Var(&f.layers, "layer", "JSON that describes a layer, from the bottom up")
	flags.Var(&f.allow, "allow", "kind of verify findings to accept")
	flags.StringVar(&f.manifest, "manifest", "", "output: manifest")
	flags.StringVar(&f.config, "config", "", "output: config")
	flags.StringVar(&f.descriptor, "descriptor", "", "output: descriptor of the manifest")
	flags.StringVar(&f.status, "status", "", "workspace status file, for templates")
	flags.StringVar(&f.commit, "commit-time-from", "", "workspace status file with the creation time of the image")
	return f, parse(flags, args, "platform", "settings", "manifest", "config", "descriptor")
}

// writeImage writes a manifest and a config from layer descriptors, without reading layers.
func writeImage(_ context.Context, flags *flag.FlagSet, args []string) error {
	f, err := parseImage(flags, args)
	if err != nil {
		return err
	}
	assembled, err := f.assemble()
	if err != nil {
		return f.wrap(err)
	}
	return writeAll(assembled.outputs...)
}

// assembledImage is the descriptor of an image and its files.
type assembledImage struct {
	descriptor v1.Descriptor
	outputs    []output
}

func (f imageFlags) assemble() (assembledImage, error) {
	p, err := suggest.ParsePlatform(f.platform)
	if err != nil {
		return assembledImage{}, &usageError{err}
	}
	var of settingsFile
	if err := readJSON(f.settings, &of); err != nil {
		return assembledImage{}, err
	}
	if err := f.expand(p, &of); err != nil {
		return assembledImage{}, err
	}
	if of.Healthcheck != nil {
		if of.Settings.Healthcheck, err = of.Healthcheck.settings(); err != nil {
			return assembledImage{}, err
		}
	}
	if err := canonical(&of.Settings); err != nil {
		return assembledImage{}, err
	}
	if f.commit != "" {
		if of.Settings.Created, err = commitTime(f.commit); err != nil {
			return assembledImage{}, err
		}
	}
	var base baseFile
	if f.base != "" {
		if err := readJSON(f.base, &base); err != nil {
			return assembledImage{}, err
		}
	}
	all := base.Layers
	for _, file := range f.layers {
		var l layerFile
		if err := readJSON(file, &l); err != nil {
			return assembledImage{}, err
		}
		all = append(all, l)
	}
	if err := checkDuplicates(all); err != nil {
		return assembledImage{}, err
	}
	if !slices.Contains(f.allow, string(finding.WrongPlatform)) {
		if err := checkPrograms(p, all); err != nil {
			return assembledImage{}, err
		}
	}
	var layers []image.Layer
	for _, l := range all {
		layers = append(layers, image.Layer{Descriptor: l.Descriptor, CreatedBy: l.CreatedBy, Env: l.Env})
	}
	config, err := image.Config(p, of.Settings, base.Config, layers)
	if err != nil {
		return assembledImage{}, err
	}
	manifest, err := image.Manifest(config, layers, of.Annotations)
	if err != nil {
		return assembledImage{}, err
	}
	d, err := describe(types.OCIManifestSchema1, manifest)
	if err != nil {
		return assembledImage{}, err
	}
	d.Platform = image.Platform(p, base.Config)
	return assembledImage{d, []output{{f.config, config}, {f.manifest, manifest}, {f.descriptor, d}}}, nil
}

// checkDuplicates returns an error if two layers above the base contain the same path, because one would hide the
// other.
func checkDuplicates(layers []layerFile) error {
	above := map[string]string{}
	for _, l := range layers {
		for _, path := range l.Files {
			if other, ok := above[path]; ok {
				return &hintError{
					fmt.Errorf("%s is in two layers: %s and %s", path, other, l.CreatedBy),
					"change binary_path or the path of the file",
				}
			}
			above[path] = l.CreatedBy
		}
	}
	return nil
}

// canonical normalizes settings as the embedded engine does, so that both engines write the same bytes.
func canonical(s *image.Settings) error {
	slices.Sort(s.Env)
	for i := range s.Ports {
		var port config.Port
		if err := port.UnmarshalText([]byte(s.Ports[i])); err != nil {
			return err
		}
		s.Ports[i] = string(port)
	}
	s.Created = s.Created.UTC()
	return nil
}

// commitTime returns STABLE_GIT_COMMIT_TIME from a workspace status file.
func commitTime(file string) (time.Time, error) {
	status, err := readStatus(file)
	if err != nil {
		return time.Time{}, err
	}
	value, ok := status["STABLE_GIT_COMMIT_TIME"]
	if !ok {
		return time.Time{}, fmt.Errorf("created = \"commit\": %w", missingKey("STABLE_GIT_COMMIT_TIME"))
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("STABLE_GIT_COMMIT_TIME: %w", err)
	}
	return t.UTC(), nil
}

// writeIndex writes an image index and its images from layer descriptors. The arguments are the flags of the index,
// followed by "--" and flags for each image. A single action writes all images to save the start of a process per
// image.
func writeIndex(_ context.Context, flags *flag.FlagSet, args []string) error {
	groups := split(args, "--")
	var s subject
	s.flags(flags)
	annotations := flags.String("annotations", "", "JSON with the annotations of the index")
	status := flags.String("status", "", "workspace status file, for templates in annotations")
	prefix := flags.String("tag-prefix", "", "prefix of the git tags that templates use")
	index := flags.String("index", "", "output: image index")
	descriptor := flags.String("descriptor", "", "output: descriptor of the index")
	digest := flags.String("digest", "", "output: digest of the index")
	if err := parse(flags, groups[0], "index", "descriptor", "digest"); err != nil {
		return err
	}
	var (
		images  []v1.Descriptor
		outputs []output
	)
	for _, group := range groups[1:] {
		f, err := parseImage(newFlags("image"), group)
		if err != nil {
			return err
		}
		f.image = s.image
		assembled, err := f.assemble()
		if err != nil {
			return f.wrap(err)
		}
		images = append(images, assembled.descriptor)
		outputs = append(outputs, assembled.outputs...)
	}
	slices.SortStableFunc(images, func(a, b v1.Descriptor) int { return cmp.Compare(order(a), order(b)) })
	var values map[string]string
	if *annotations != "" {
		if err := readJSON(*annotations, &values); err != nil {
			return s.wrap(err)
		}
		vars, err := varsOf(s.image, *prefix, *status)
		if err != nil {
			return s.wrap(err)
		}
		if err := expandAll("annotation", values, vars); err != nil {
			return s.wrap(err)
		}
	}
	content, err := image.IndexManifest(images, values)
	if err != nil {
		return s.wrap(&hintError{err, "set at least one image, and only one per platform"})
	}
	d, err := describe(types.OCIImageIndex, content)
	if err != nil {
		return s.wrap(err)
	}
	outputs = append(
		outputs,
		output{*index, content},
		output{*descriptor, d},
		output{*digest, []byte(d.Digest.String() + "\n")},
	)
	return writeAll(outputs...)
}

// split splits args at every separator.
func split(args []string, separator string) (groups [][]string) {
	for {
		at := slices.Index(args, separator)
		if at < 0 {
			return append(groups, args)
		}
		groups, args = append(groups, args[:at]), args[at+1:]
	}
}

func order(d v1.Descriptor) int {
	return arch.Order(arch.Platform{OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant})
}

func describe(t types.MediaType, content []byte) (v1.Descriptor, error) {
	h, size, err := v1.SHA256(bytes.NewReader(content))
	return v1.Descriptor{MediaType: t, Digest: h, Size: size}, err
}

// output is a file to write. Content of type []byte is written unchanged, any other type as JSON.
type output struct {
	file    string
	content any
}

func writeAll(outputs ...output) error {
	for _, o := range outputs {
		var err error
		if content, ok := o.content.([]byte); ok {
			err = writeBytes(o.file, content)
		} else {
			err = writeJSON(o.file, o.content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
