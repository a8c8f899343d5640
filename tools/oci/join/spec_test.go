package join_test

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/join"
)

func TestParseSpec(t *testing.T) {
	s, err := join.ParseSpec("spec.yaml", []byte(`
image: myprivreg:5000/someimage:latest
tags: ["1.0.0", 1.10, '1']
annotations: {org.opencontainers.image.version: 1.10}
manifests:
  -
    image: myprivreg:5000/someimage:arm64
    platform:
      architecture: arm64
      os: linux
  - image: myprivreg:5000/someimage:armv6
    platform: {architecture: arm, os: linux, variant: v6, features: [vfp]}
  - image: win
    platform: {architecture: amd64, os: windows, osversion: 10.0.17763.1, osfeatures: [win32k]}
  - image: win2
    platform: {architecture: amd64, os: windows, os.version: 10.0, os.features: [win32k], variant: ""}
  - image: itself
  - {image: itself2, platform: {}}
`))
	require.NoError(t, err)
	assert.Equal(t, &join.Spec{
		Image:       "myprivreg:5000/someimage:latest",
		Tags:        []string{"1.0.0", "1.10", "1"},
		Annotations: map[string]string{"org.opencontainers.image.version": "1.10"},
		Manifests: []join.SpecEntry{
			{Image: "myprivreg:5000/someimage:arm64", Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}},
			{Image: "myprivreg:5000/someimage:armv6", Platform: &v1.Platform{OS: "linux", Architecture: "arm",
				Variant: "v6", Features: []string{"vfp"}}},
			{Image: "win", Platform: &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1",
				OSFeatures: []string{"win32k"}}},
			{Image: "win2", Platform: &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0",
				OSFeatures: []string{"win32k"}}},
			{Image: "itself"}, {Image: "itself2"},
		},
	}, s)
}

func TestSpecErrors(t *testing.T) {
	// Syntax errors are those of the YAML library.
	for text, want := range map[string]string{
		"":                                      "spec.yaml:1:1: yaml: no documents in stream",
		"a: [":                                  "spec.yaml:2:1: did not find expected node content",
		"- a":                                   "spec.yaml:1:1: must be a mapping",
		"image: x":                              "spec.yaml:1:1: manifests is required",
		"manifests: [{image: x}]":               "spec.yaml:1:1: image is required",
		"image: x\nmanifests: [{platform: {}}]": "spec.yaml:2:13: image is required",
		"image: x\nmanifests: {image: y}":       "spec.yaml:2:12: must be a list",
		"image: [x]\nmanifests: [{image: y}]":   "spec.yaml:1:8: must be a string",
		"image: x\nimage: y\nmanifests: [{image: y}]": "spec.yaml:2:1: " +
			"duplicate key \"image\"",
		"image: x\nannotations: [a]\nmanifests: [{image: y}]": "spec.yaml:2:14: " +
			"must be a mapping",
		"image: x\nannotations: {a: b, a: c}\nmanifests: [{image: y}]": "spec.yaml:2:21: " +
			"duplicate key \"a\"",
		"image: x\nmanifest: [{image: y}]": "spec.yaml:2:1: " +
			"unknown key \"manifest\"",
		"image: x\nmanifests: [{image: y, platform: {os: linux, architecture: armv7}}]": "spec.yaml:2:34: " +
			"unknown platform \"linux/armv7\"",
		"image: x\nmanifests: [{image: y, platform: {os: linux, architecture: arm, varient: v7}}]": "spec.yaml:2:65: " +
			"unknown key \"varient\"",
		"image: x\nmanifests:\n- {image: y, platform: {architecture: arm64}}": "spec.yaml:3:24: unknown platform",
	} {
		_, err := join.ParseSpec("spec.yaml", []byte(text))
		var wrong *join.SpecError
		require.ErrorAs(t, err, &wrong, text)
		assert.ErrorContains(t, err, want)
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add([]byte("image: x\ntags: [a]\nmanifests: [{image: y, platform: {os: linux, architecture: arm, variant: v7}}]"))
	f.Add([]byte("image: &a x\nmanifests: [*a, {image: *a}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := join.ParseSpec("spec.yaml", content)
		if err == nil {
			require.NotEmpty(t, s.Image)
			require.NotEmpty(t, s.Manifests)
			return
		}
		var wrong *join.SpecError
		require.ErrorAs(t, err, &wrong)
		assert.Positive(t, wrong.Line)
	})
}
