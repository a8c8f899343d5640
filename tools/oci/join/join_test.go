package join_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/join"
)

// imageOf returns an image with a platform (os/architecture/variant:os.version) in its config. Seeds give other
// digests.
func imageOf(t testing.TB, platform, seed string) v1.Image {
	t.Helper()
	p, err := v1.ParsePlatform(platform)
	require.NoError(t, err)
	config := &v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion,
		Author: seed}
	if p.OSVersion != "" {
		config.OSFeatures = []string{"win32k"}
	}
	img, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		types.OCIConfigJSON), config)
	require.NoError(t, err)
	img, err = mutate.AppendLayers(img, static.NewLayer([]byte(seed), types.OCIUncompressedLayer))
	require.NoError(t, err)
	return img
}

// docker returns img with the media types that docker uses.
func docker(t testing.TB, img v1.Image) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	require.NoError(t, err)
	img, err = mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(img, types.DockerManifestSchema2),
		types.DockerConfigJSON), config)
	require.NoError(t, err)
	return img
}

// entry is an entry of an index.
type entry struct {
	says string // the platform of the descriptor, "" for none
	add  mutate.Appendable
}

func indexOf(t testing.TB, entries ...entry) v1.ImageIndex {
	t.Helper()
	i := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, e := range entries {
		a := mutate.IndexAddendum{Add: e.add}
		if e.says != "" {
			p, err := v1.ParsePlatform(e.says)
			require.NoError(t, err)
			a.Platform = p
		}
		i = mutate.AppendManifests(i, a)
	}
	return i
}

// attestation returns the entry that buildx adds for an image.
func attestation(t testing.TB, i v1.ImageIndex) v1.ImageIndex {
	t.Helper()
	list, err := i.IndexManifest()
	require.NoError(t, err)
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	return mutate.AppendManifests(i, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{
			"vnd.docker.reference.type":   "attestation-manifest",
			"vnd.docker.reference.digest": list.Manifests[0].Digest.String(),
		},
	}})
}

func source(name string, what any) join.Source {
	if img, ok := what.(v1.Image); ok {
		return join.Source{Name: name, Image: img}
	}
	return join.Source{Name: name, Index: what.(v1.ImageIndex)}
}

func as(platform string, s join.Source) join.Source {
	p, _ := v1.ParsePlatform(platform)
	s.Platform = p
	return s
}

func digest(t testing.TB, d interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := d.Digest()
	require.NoError(t, err)
	return h
}

// join joins sources and describes the entries of the index: platform, media type and digest.
func joinAll(t testing.TB, o join.Options, sources ...join.Source) []string {
	t.Helper()
	j, err := join.Join(sources, o)
	require.NoError(t, err)
	return describe(t, j)
}

func describe(t testing.TB, j *join.Joined) []string {
	t.Helper()
	list, err := j.Index.IndexManifest()
	require.NoError(t, err)
	raw, err := j.Index.RawManifest()
	require.NoError(t, err)
	parsed, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	require.NoError(t, err)
	assert.Equal(t, parsed, list)
	assert.Equal(t, types.OCIImageIndex, list.MediaType)
	require.Len(t, j.Children, len(list.Manifests))
	var all []string
	for i, d := range list.Manifests {
		assert.Equal(t, j.Children[i].Descriptor, d)
		img, err := j.Index.Image(d.Digest)
		require.NoError(t, err)
		size, err := img.Size()
		require.NoError(t, err)
		assert.Equal(t, size, d.Size)
		all = append(all, is(t, d.Platform.String(), img))
	}
	return all
}

func is(t testing.TB, platform string, img v1.Image) string {
	t.Helper()
	mediaType, err := img.MediaType()
	require.NoError(t, err)
	return fmt.Sprint(platform, " ", mediaType, " ", digest(t, img))
}

var (
	amd64 = arch.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = arch.Platform{OS: "linux", Architecture: "arm64"}
)

func TestJoinCombinesImagesAndIndexes(t *testing.T) {
	arm, intel := imageOf(t, "linux/arm64/v8", "arm"), docker(t, imageOf(t, "linux/amd64", "intel"))
	z, v7 := imageOf(t, "linux/s390x", "z"), imageOf(t, "linux/arm", "v7")
	two := attestation(t, indexOf(t, entry{"linux/s390x", z}, entry{"linux/arm/v7", v7}))
	want := []string{is(t, "linux/amd64", intel), is(t, "linux/arm64", arm), is(t, "linux/arm/v7", v7), is(t,
		"linux/s390x", z)}
	sources := []join.Source{source("two", two), source("arm", arm), source("intel", intel)}
	without := join.Options{NoAttestations: true}
	j, err := join.Join(sources, join.Options{NoAttestations: true, Annotations: map[string]string{"a": "b"}})
	require.NoError(t, err)
	assert.Equal(t, want, describe(t, j),
		"in table order, in canonical form, with the digests they had; the variant is the index's")
	assert.Equal(t, []string{"two: skipped 1 attestation"}, j.Notes)
	var from []int
	for _, c := range j.Children {
		from = append(from, c.Source)
	}
	assert.Equal(t, []int{2, 1, 0, 0}, from)
	list, err := j.Index.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "b"}, list.Annotations)

	assert.Equal(t, want, joinAll(t, without, append(sources, source("again", arm))...),
		"the same image twice is there once")
	outer := indexOf(t, entry{"", two}, entry{"", arm}, entry{"", intel})
	assert.Equal(t, want, joinAll(t, without, source("outer", outer)),
		"an index in an index, and entries that say nothing")
	assert.Equal(t, want[1:2], joinAll(t, join.Options{Only: []arch.Platform{arm64}}, sources...))
	odd := source("odd", indexOf(t, entry{"linux/arm64", arm}, entry{"plan9/mips", imageOf(t, "plan9/mips", "odd")}))
	assert.Equal(t, want[1:2], joinAll(t, join.Options{Only: []arch.Platform{arm64}}, odd),
		"what is not wanted may be anything")
}

func TestSourcePlatformOverridesConfig(t *testing.T) {
	v6, nothing := imageOf(t, "linux/arm", "v6"), imageOf(t, "", "nothing")
	assert.Equal(t, []string{is(t, "linux/arm/v6", v6)}, joinAll(t, join.Options{}, as("linux/arm/v6", source("v6",
		v6))))
	assert.Equal(t, []string{is(t, "linux/arm64", nothing)}, joinAll(t, join.Options{}, as("linux/arm64/v8",
		source("x", nothing))))

	one := attestation(t, indexOf(t, entry{"linux/amd64", imageOf(t, "linux/amd64", "one")}))
	j, err := join.Join([]join.Source{as("linux/arm/v6", source("one", one))}, join.Options{})
	require.NoError(t, err)
	assert.Equal(t, "linux/arm/v6", j.Children[0].Platform().String(), "an index of one image is like that image")
	assert.Contains(t, j.Notes, "one: using platform linux/arm/v6 instead of its own, linux/amd64")

	arm := imageOf(t, "linux/arm64", "arm")
	several := indexOf(t, entry{"linux/amd64", imageOf(t, "linux/amd64", "intel")}, entry{"linux/arm64/v8", arm},
		entry{"", nothing})
	assert.Equal(t, []string{is(t, "linux/arm64", arm)}, joinAll(t, join.Options{}, as("linux/arm64",
		source("several", several))), "of several, it chooses")
}

func TestJoinKeepsEveryWindowsVersion(t *testing.T) {
	new2022, old2022 := imageOf(t, "windows/amd64:10.0.20348.2000", "a"), imageOf(t, "windows/amd64:10.0.20348.169",
		"b")
	y2019 := docker(t, imageOf(t, "windows/amd64:10.0.17763.1", "c"))
	linux := imageOf(t, "linux/amd64", "d")
	both := indexOf(t, entry{"windows/amd64:10.0.20348.2000", new2022}, entry{"linux/amd64", linux},
		entry{"windows/amd64", old2022})
	j, err := join.Join([]join.Source{source("both", both), source("2019", y2019)}, join.Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{
		is(t, "linux/amd64", linux), is(t, "windows/amd64:10.0.17763.1", y2019),
		is(t, "windows/amd64:10.0.20348.169", old2022), is(t, "windows/amd64:10.0.20348.2000", new2022),
	}, describe(t, j), "by version, number by number; every version is a platform of its own")
	assert.Equal(t, []string{"win32k"}, j.Children[1].Descriptor.Platform.OSFeatures)

	assert.Equal(t, []string{is(t, "windows/amd64:10.0.20348.169", old2022)},
		joinAll(t, join.Options{}, as("windows/amd64:10.0.20348.169", source("both", both))))
	given := as("windows/amd64:10.0.1.1", source("2019", y2019))
	given.Platform.Features = []string{"sse4"}
	j, err = join.Join([]join.Source{given}, join.Options{})
	require.NoError(t, err)
	assert.Equal(t, &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1.1",
		OSFeatures: []string{"win32k"}, Features: []string{"sse4"}},
		j.Children[0].Descriptor.Platform, "what is not given is the image's own")

	onto := source("target", j.Index)
	onto.Index = indexOf(t, entry{"windows/amd64:10.0.20348.2000", new2022}, entry{"windows/amd64:10.0.20348.169",
		old2022}, entry{"linux/amd64", linux})
	without := func(version string) join.Options {
		return join.Options{Onto: &onto, Remove: []v1.Platform{{OS: "windows", Architecture: "amd64",
			OSVersion: version}}}
	}
	assert.Equal(t, []string{is(t, "windows/amd64:10.0.20348.2000", new2022), is(t, "linux/amd64", linux)},
		joinAll(t, without("10.0.20348.169")), "in its own order")
	assert.Equal(t, []string{is(t, "linux/amd64", linux)}, joinAll(t, without("")), "no version means all of them")
	_, err = join.Join(nil, without("9.9.9"))
	assert.EqualError(t, err, "target: no image for windows/amd64:9.9.9")
	var absent *join.AbsentError
	require.ErrorAs(t, err, &absent)
	assert.Equal(t, "available platforms: windows/amd64:10.0.20348.2000, windows/amd64:10.0.20348.169, linux/amd64",
		absent.Hint())

	_, err = join.Join([]join.Source{source("one", y2019), source("two", imageOf(t, "windows/amd64:10.0.17763.1",
		"e"))}, join.Options{})
	assert.EqualError(t, err, "two images for windows/amd64: in one and in two")
}

func TestOntoAddsReplacesAndRemoves(t *testing.T) {
	intel, arm, odd := imageOf(t, "linux/amd64", "intel"), imageOf(t, "linux/arm64", "arm"), imageOf(t,
		"plan9/mips", "odd")
	there := mutate.Annotations(indexOf(t, entry{"linux/amd64", intel}, entry{"plan9/mips", odd}),
		map[string]string{"a": "1", "b": "2"}).(v1.ImageIndex)
	onto := source("target", there)
	j, err := join.Join([]join.Source{source("arm", arm)}, join.Options{Onto: &onto,
		Annotations: map[string]string{"b": "3"}})
	require.NoError(t, err)
	assert.Equal(t, []string{is(t, "linux/amd64", intel), is(t, "linux/arm64", arm), is(t, "plan9/mips", odd)},
		describe(t, j), "what is there may be any platform")
	list, err := j.Index.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "b": "3"}, list.Annotations)
	assert.Equal(t, -1, j.Children[0].Source)

	again := source("target", j.Index)
	j2, err := join.Join([]join.Source{source("arm", arm)}, join.Options{Onto: &again})
	require.NoError(t, err)
	assert.Equal(t, digest(t, j.Index), digest(t, j2.Index), "adding it once more changes nothing")

	next := imageOf(t, "linux/amd64", "next")
	_, err = join.Join([]join.Source{source("next", next)}, join.Options{Onto: &onto})
	var twice *join.DuplicateError
	require.ErrorAs(t, err, &twice)
	assert.EqualError(t, err, "two images for linux/amd64: in target and in next")
	assert.Contains(t, twice.Hint(), "--replace")
	assert.Equal(t, []string{is(t, "linux/amd64", next), is(t, "plan9/mips", odd)}, joinAll(t,
		join.Options{Onto: &onto, Replace: true}, source("next", next)))
	_, err = join.Join([]join.Source{source("next", next), source("third", imageOf(t, "linux/amd64", "third"))},
		join.Options{Onto: &onto, Replace: true})
	assert.EqualError(t, err, "two images for linux/amd64: in next and in third", "sources do not replace one another")

	intelOf := v1.Platform{OS: "linux", Architecture: "amd64"}
	assert.Equal(t, []string{is(t, "linux/amd64", intel)}, joinAll(t, join.Options{Onto: &onto,
		Remove: []v1.Platform{{OS: "plan9", Architecture: "mips"}}}))
	assert.Equal(t, []string{is(t, "linux/amd64", next), is(t, "plan9/mips", odd)},
		joinAll(t, join.Options{Onto: &onto, Remove: []v1.Platform{intelOf}}, source("next", next)))
	_, err = join.Join(nil, join.Options{Onto: &onto, Remove: []v1.Platform{intelOf, {OS: "linux",
		Architecture: "arm", Variant: "v7"}}})
	var absent *join.AbsentError
	require.ErrorAs(t, err, &absent)
	assert.EqualError(t, err, "target: no image for linux/arm/v7")
	assert.Equal(t, "available platforms: linux/amd64, plan9/mips", absent.Hint())
	_, err = join.Join(nil, join.Options{Onto: &onto, Remove: []v1.Platform{intelOf, {OS: "plan9",
		Architecture: "mips"}}})
	assert.ErrorContains(t, err, "none would remain")

	single := source("target", intel)
	assert.Equal(t, []string{is(t, "linux/amd64", intel), is(t, "linux/arm64", arm)}, joinAll(t,
		join.Options{Onto: &single}, source("arm", arm)))
}

// anyIndex is an alias, because v1.ImageIndex has a method of its name and could not be embedded.
type anyIndex = v1.ImageIndex

// broken is an index that returns other images than it lists.
type broken struct{ anyIndex }

func (b broken) Image(h v1.Hash) (v1.Image, error) {
	img, err := b.anyIndex.Image(h)
	return damaged{img}, err
}

type damaged struct{ v1.Image }

func (d damaged) RawManifest() ([]byte, error) {
	raw, err := d.Image.RawManifest()
	return append(raw, ' '), err
}

// gone is an image whose manifest cannot be read.
type gone struct{ v1.Image }

func (gone) RawManifest() ([]byte, error) { return nil, errors.New("connection refused") }

func TestJoinReportsInvalidSources(t *testing.T) {
	intel, other := imageOf(t, "linux/amd64", "intel"), imageOf(t, "linux/amd64", "other")
	deep := indexOf(t, entry{"", intel})
	for range 4 {
		deep = indexOf(t, entry{"", deep})
	}
	mixed := indexOf(t, entry{"linux/arm64", intel}, entry{"linux/s390x", imageOf(t, "linux/s390x", "z")})
	for name, c := range map[string]struct {
		sources    []join.Source
		only       []arch.Platform
		want, hint string
	}{
		"two sources, one platform": {sources: []join.Source{source("one", intel), source("two", other)},
			want: "two images for linux/amd64: in one and in two", hint: "omit one of them"},
		"one source, one platform": {sources: []join.Source{source("one", indexOf(t, entry{"", intel}, entry{"",
			other}))},
			want: "one: contains two images for linux/amd64", hint: "digest"},
		"no platform": {sources: []join.Source{source("x", imageOf(t, "", "x"))},
			want: "x: its config has no platform", hint: "x=PLATFORM"},
		"unknown platform": {sources: []join.Source{source("x", imageOf(t, "linux/armv7", "x"))},
			want: `x: unknown platform "linux/armv7"`, hint: `did you mean "linux/arm/v7"`},
		"no variant": {sources: []join.Source{source("x", imageOf(t, "linux/arm", "x"))},
			want: `x: unknown platform "linux/arm"`, hint: "linux/arm/v6"},
		"all at once": {sources: []join.Source{source("x", imageOf(t, "", "x")), source("y", imageOf(t, "", "y"))},
			want: "x: its config has no platform\ny: its config has no platform"},
		"config against index": {sources: []join.Source{source("x", mixed)},
			want: "x: image " + digest(t, intel).String() +
				": its config has platform linux/amd64, but its index has linux/arm64", hint: "REPOSITORY@" + digest(t,
				intel).String() + "=PLATFORM"},
		"not in the index": {sources: []join.Source{as("linux/riscv64", source("x", mixed))},
			want: "x: no image for linux/riscv64", hint: "available platforms: linux/arm64, linux/s390x"},
		"not in any": {sources: []join.Source{source("x", intel)}, only: []arch.Platform{amd64, arm64},
			want: "no image for linux/arm64", hint: "available platforms: linux/amd64"},
		"only attestations": {sources: []join.Source{source("x", indexOf(t, entry{"unknown/unknown", intel}))},
			want: "x: no runnable image"},
		"empty":    {sources: []join.Source{source("x", indexOf(t))}, want: "x: no runnable image"},
		"nothing":  {want: "an image index requires at least one image, but none would remain"},
		"too deep": {sources: []join.Source{source("x", deep)}, want: "x: indexes are nested more than 4 deep"},
		"damaged":  {sources: []join.Source{source("x", broken{mixed})}, want: "is damaged"},
		"unreadable": {sources: []join.Source{source("x", gone{intel})},
			want: "x: reading the manifest: connection refused"},
		"unreadable although its platform is given": {sources: []join.Source{as("linux/arm64", source("x",
			broken{indexOf(t, entry{"", intel})}))}, want: "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := join.Join(c.sources, join.Options{Only: c.only})
			require.ErrorContains(t, err, c.want)
			var hinted fault.Hinter
			if c.hint != "" {
				require.ErrorAs(t, err, &hinted)
				assert.Contains(t, hinted.Hint(), c.hint)
			}
		})
	}
}

func BenchmarkJoin(b *testing.B) {
	var sources []join.Source
	for _, name := range arch.Names() {
		sources = append(sources, source(name, imageOf(b, name, name)))
	}
	for b.Loop() {
		_, err := join.Join(sources, join.Options{})
		require.NoError(b, err)
	}
}
