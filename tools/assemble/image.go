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
	"github.com/multiarch-build/multiarch/tools/config"
	"github.com/multiarch-build/multiarch/tools/image"
)

// writeImage makes a manifest and a config of the descriptors of layers. No layer is read.
func writeImage(_ context.Context, flags *flag.FlagSet, args []string) error {
	var (
		s      subject
		layers list
	)
	s.flags(flags)
	settings := flags.String("settings", "", "JSON: settings of the config, annotations of the manifest")
	under := flags.String("base", "", "JSON about the image it stands on")
	flags.Var(&layers, "layer", "JSON about a layer, from the bottom up")
	manifest := flags.String("manifest", "", "the manifest to write")
	configFile := flags.String("config", "", "the config to write")
	descriptor := flags.String("descriptor", "", "the descriptor of the manifest to write")
	commit := flags.String("commit-time-from", "", "a workspace status file: the image was made when the commit was")
	if err := parse(flags, args, "platform", "settings", "manifest", "config", "descriptor"); err != nil {
		return err
	}
	p, err := arch.Parse(s.platform)
	if err != nil {
		return s.wrap(&usageError{err})
	}
	var of settingsFile
	if err := readJSON(*settings, &of); err != nil {
		return s.wrap(err)
	}
	if err := canonical(&of.Settings); err != nil {
		return s.wrap(err)
	}
	if *commit != "" {
		if of.Settings.Created, err = commitTime(*commit); err != nil {
			return s.wrap(err)
		}
	}
	var on baseFile
	if *under != "" {
		if err := readJSON(*under, &on); err != nil {
			return s.wrap(err)
		}
	}
	all := on.Layers
	for _, file := range layers {
		var l layerFile
		if err := readJSON(file, &l); err != nil {
			return s.wrap(err)
		}
		all = append(all, l)
	}
	var made []image.Layer
	for _, l := range all {
		of.Settings = of.Settings.WithEnv(l.Env)
		made = append(made, image.Layer{Descriptor: l.Descriptor, CreatedBy: l.CreatedBy})
	}
	configBytes, err := image.Config(p, of.Settings, on.Config, made)
	if err != nil {
		return s.wrap(err)
	}
	manifestBytes, err := image.Manifest(configBytes, made, of.Annotations)
	if err != nil {
		return s.wrap(err)
	}
	d, err := describe(types.OCIManifestSchema1, manifestBytes)
	if err != nil {
		return s.wrap(err)
	}
	d.Platform = image.Platform(p, on.Config)
	return writeAll(output{*configFile, configBytes}, output{*manifest, manifestBytes}, output{*descriptor, d})
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
		return time.Time{}, missingKey("created = \"commit\"", "STABLE_GIT_COMMIT_TIME")
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("STABLE_GIT_COMMIT_TIME: %w", err)
	}
	return t.UTC(), nil
}

// writeIndex makes an image index of the descriptors of images.
func writeIndex(_ context.Context, flags *flag.FlagSet, args []string) error {
	var (
		s        subject
		children list
	)
	s.flags(flags)
	flags.Var(&children, "child", "the descriptor of an image")
	annotations := flags.String("annotations", "", "JSON: the annotations of the index")
	index := flags.String("index", "", "the image index to write")
	descriptor := flags.String("descriptor", "", "its descriptor to write")
	digest := flags.String("digest", "", "a file to write with its digest")
	if err := parse(flags, args, "index", "descriptor", "digest"); err != nil {
		return err
	}
	var of []v1.Descriptor
	for _, file := range children {
		var d v1.Descriptor
		if err := readJSON(file, &d); err != nil {
			return s.wrap(err)
		}
		if d.Platform == nil {
			return s.wrap(fmt.Errorf("%s says no platform", file))
		}
		of = append(of, d)
	}
	slices.SortStableFunc(of, func(a, b v1.Descriptor) int { return cmp.Compare(order(a), order(b)) })
	var notes map[string]string
	if *annotations != "" {
		if err := readJSON(*annotations, &notes); err != nil {
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
	return writeAll(output{*index, content}, output{*descriptor, d}, output{*digest, []byte(d.Digest.String() + "\n")})
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
