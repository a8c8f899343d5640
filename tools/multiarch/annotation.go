package main

import (
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/join"
)

// The types of annotations, as docker buildx has them:
// https://docs.docker.com/build/metadata/annotations/#specify-annotation-level
const (
	onIndex           = "index"
	onManifest        = "manifest"
	onDescriptor      = "manifest-descriptor"
	onIndexDescriptor = "index-descriptor"
)

var annotationTypes = []string{onIndex, onManifest, onDescriptor, onIndexDescriptor}

// annotationForm matches [TYPE[PLATFORM],...:]KEY=VALUE. Keys may contain colons: the words before the first colon are
// types only if they are known or have a platform.
var annotationForm = regexp.MustCompile(`^(?:([a-z-]+(?:\[[^\]]*\])?(?:,[a-z-]+(?:\[[^\]]*\])?)*):)?([^=]+)=((?s:.*))$`)

// annotate parses an annotation and adds it to the options.
func (r *request) annotate(text string) error {
	parts := annotationForm.FindStringSubmatch(text)
	if parts == nil {
		return usagef("write KEY=VALUE, such as --annotation org.opencontainers.image.version=1.2",
			"--annotation: invalid annotation %q", text)
	}
	levels, key, value := strings.Split(parts[1], ","), parts[2], parts[3]
	known := func(level string) bool { return slices.Contains(annotationTypes, level) }
	if parts[1] == "" || len(levels) == 1 && !strings.Contains(parts[1], "[") && !known(parts[1]) {
		if parts[1] != "" {
			key = parts[1] + ":" + key
		}
		levels = []string{onIndex}
	}
	for _, level := range levels {
		level, bracketed, of := strings.Cut(level, "[")
		if !known(level) {
			return usagef(hintOf(level, annotationTypes), "--annotation %q: unknown type %q", text, level)
		}
		var platform *v1.Platform
		if of {
			name, version, _ := strings.Cut(strings.TrimSuffix(bracketed, "]"), ":")
			p, err := join.ParsePlatform(name)
			if err != nil {
				return usagef(hintOf(name, arch.Names()), "--annotation %q: %w", text, err)
			}
			platform = &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: version}
		}
		if of && (level == onIndex || level == onIndexDescriptor) {
			return usagef("write "+level+":KEY=VALUE", "--annotation %q: an index is for all platforms", text)
		}
		switch one := (join.PlatformAnnotation{Platform: platform, Key: key, Value: value}); level {
		case onIndex:
			r.options.Annotations[key] = value
		case onManifest:
			r.options.ManifestAnnotations = append(r.options.ManifestAnnotations, one)
		case onDescriptor:
			r.options.EntryAnnotations = append(r.options.EntryAnnotations, one)
		case onIndexDescriptor:
			if r.entryAnnotations == nil {
				r.entryAnnotations = map[string]string{}
			}
			r.entryAnnotations[key] = value
		}
	}
	return nil
}
