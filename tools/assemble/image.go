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
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// imageFlags are those of an image: what it is made of, and the files to write.
type imageFlags struct {
	subject
	settings, under, commit      string
	status, tagPrefix            string
	layers                       list
	manifest, config, descriptor string
}

func parseImage(flags *flag.FlagSet, args []string) (imageFlags, error) {
	var f imageFlags
	f.flags(flags)
	flags.StringVar(&f.tagPrefix, "tag-prefix", "", "the prefix of the git tags that are about the image")
	flags.StringVar(&f.settings, "settings", "", "JSON: settings of the config, annotations of the manifest")
	flags.StringVar(&f.under, "base", "", "JSON about the image it stands on")
	flags.Var(&f.layers, "layer", "JSON about a layer, from the bottom up")
	flags.StringVar(&f.manifest, "manifest", "", "the manifest to write")
	flags.StringVar(&f.config, "config", "", "the config to write")
	flags.StringVar(&f.descriptor, "descriptor", "", "the descriptor of the manifest to write")
	flags.StringVar(&f.status, "status", "", "a workspace status file, for templates")
	flags.StringVar(&f.commit, "commit-time-from", "", "a workspace status file: the image was made when the commit was")
	return f, parse(flags, args, "platform", "settings", "manifest", "config", "descriptor")
}

// writeImage makes a manifest and a config of the descriptors of layers. No layer is read.
func writeImage(_ context.Context, flags *flag.FlagSet, args []string) error {
	f, err := parseImage(flags, args)
	if err != nil {
		return err
	}
	made, err := f.make()
	if err != nil {
		return f.wrap(err)
	}
	return writeAll(made.outputs...)
}

// madeImage is an image, and the files that say so.
type madeImage struct {
	descriptor v1.Descriptor
	outputs    []output
}

func (f imageFlags) make() (madeImage, error) {
	p, err := suggest.ParsePlatform(f.platform)
	if err != nil {
		return madeImage{}, &usageError{err}
	}
	var of settingsFile
	if err := readJSON(f.settings, &of); err != nil {
		return madeImage{}, err
	}
	if err := f.fill(p, &of); err != nil {
		return madeImage{}, err
	}
	if of.Healthcheck != nil {
		if of.Settings.Healthcheck, err = of.Healthcheck.settings(); err != nil {
			return madeImage{}, err
		}
	}
	if err := canonical(&of.Settings); err != nil {
		return madeImage{}, err
	}
	if f.commit != "" {
		if of.Settings.Created, err = commitTime(f.commit); err != nil {
			return madeImage{}, err
		}
	}
	var on baseFile
	if f.under != "" {
		if err := readJSON(f.under, &on); err != nil {
			return madeImage{}, err
		}
	}
	all := on.Layers
	for _, file := range f.layers {
		var l layerFile
		if err := readJSON(file, &l); err != nil {
			return madeImage{}, err
		}
		all = append(all, l)
	}
	if err := distinct(all); err != nil {
		return madeImage{}, err
	}
	var layers []image.Layer
	for _, l := range all {
		layers = append(layers, image.Layer{Descriptor: l.Descriptor, CreatedBy: l.CreatedBy, Env: l.Env})
	}
	config, err := image.Config(p, of.Settings, on.Config, layers)
	if err != nil {
		return madeImage{}, err
	}
	manifest, err := image.Manifest(config, layers, of.Annotations)
	if err != nil {
		return madeImage{}, err
	}
	d, err := describe(types.OCIManifestSchema1, manifest)
	if err != nil {
		return madeImage{}, err
	}
	d.Platform = image.Platform(p, on.Config)
	return madeImage{d, []output{{f.config, config}, {f.manifest, manifest}, {f.descriptor, d}}}, nil
}

// distinct makes sure that no layer above the base hides what another one has: the program would be gone, or the file.
func distinct(layers []layerFile) error {
	above := map[string]string{}
	for _, l := range layers {
		for _, path := range l.Files {
			if other, ok := above[path]; ok {
				return &hintError{
					fmt.Errorf("%s is in two layers, of %s and of %s", path, other, l.CreatedBy),
					"give the program another binary_path, or the file another place",
				}
			}
			above[path] = l.CreatedBy
		}
	}
	return nil
}

// canonical brings what a rule says into the form that the embedded engine brings multiarch.yaml into: the bytes must
// not tell who assembled them.
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

// commitTime reads STABLE_GIT_COMMIT_TIME.
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

// writeIndex makes an image index and its images, of the descriptors of layers: flags of the index, and those of every
// image, each time after a "--". One action makes them all, since starting a program takes longer than any of it.
func writeIndex(_ context.Context, flags *flag.FlagSet, args []string) error {
	groups := split(args, "--")
	var s subject
	s.flags(flags)
	annotations := flags.String("annotations", "", "JSON: the annotations of the index")
	status := flags.String("status", "", "a workspace status file, for templates in them")
	prefix := flags.String("tag-prefix", "", "the prefix of the git tags that are about the image")
	index := flags.String("index", "", "the image index to write")
	descriptor := flags.String("descriptor", "", "its descriptor to write")
	digest := flags.String("digest", "", "a file to write with its digest")
	if err := parse(flags, groups[0], "index", "descriptor", "digest"); err != nil {
		return err
	}
	var (
		of      []v1.Descriptor
		outputs []output
	)
	for _, group := range groups[1:] {
		f, err := parseImage(newFlags("image"), group)
		if err != nil {
			return err
		}
		f.image = s.image
		made, err := f.make()
		if err != nil {
			return f.wrap(err)
		}
		of = append(of, made.descriptor)
		outputs = append(outputs, made.outputs...)
	}
	slices.SortStableFunc(of, func(a, b v1.Descriptor) int { return cmp.Compare(order(a), order(b)) })
	var notes map[string]string
	if *annotations != "" {
		if err := readJSON(*annotations, &notes); err != nil {
			return s.wrap(err)
		}
		vars, err := varsOf(s.image, *prefix, *status)
		if err != nil {
			return s.wrap(err)
		}
		if err := fillValues("annotation", notes, vars); err != nil {
			return s.wrap(err)
		}
	}
	content, err := image.IndexManifest(of, notes)
	if err != nil {
		return s.wrap(&hintError{err, "give at least one image, and one a platform"})
	}
	d, err := describe(types.OCIImageIndex, content)
	if err != nil {
		return s.wrap(err)
	}
	outputs = append(outputs, output{*index, content}, output{*descriptor, d}, output{*digest, []byte(d.Digest.String() + "\n")})
	return writeAll(outputs...)
}

// split cuts at every separator.
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

// output is a file to write: bytes as they are, anything else as JSON.
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
