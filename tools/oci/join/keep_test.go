package join_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/join"
)

// written is an index with a given manifest and some of the images in it.
type written struct {
	anyIndex
	text   string
	images map[v1.Hash]v1.Image
	absent map[v1.Hash]bool
}

func (w written) RawManifest() ([]byte, error) { return []byte(w.text), nil }

func (w written) MediaType() (types.MediaType, error) {
	var m struct{ MediaType types.MediaType }
	err := json.Unmarshal([]byte(w.text), &m)
	if m.MediaType == "" {
		m.MediaType = types.OCIImageIndex
	}
	return m.MediaType, err
}

func (w written) Image(h v1.Hash) (v1.Image, error) {
	if w.absent[h] {
		return nil, fmt.Errorf("blob %s: %w", h, fs.ErrNotExist)
	}
	return w.images[h], nil
}

// any is the digest of a Windows image, which entries for any platform use.
func (w written) any() (h v1.Hash) {
	for h, img := range w.images {
		if config, err := img.ConfigFile(); err == nil && config.OS == "windows" {
			return h
		}
	}
	return h
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// item is the text of an entry for an image.
func item(t *testing.T, img v1.Image, more string) string {
	t.Helper()
	size, err := img.Size()
	require.NoError(t, err)
	mediaType, err := img.MediaType()
	require.NoError(t, err)
	return fmt.Sprintf(`{ "mediaType": %q, "digest": %q, "size": %d%s }`, string(mediaType), digest(t,
		img).String(), size, more)
}

func text(t *testing.T, j *join.Joined) string {
	t.Helper()
	raw, err := j.Index.RawManifest()
	require.NoError(t, err)
	h, err := j.Index.Digest()
	require.NoError(t, err)
	want, _, err := v1.SHA256(strings.NewReader(string(raw)))
	require.NoError(t, err)
	assert.Equal(t, want, h)
	return string(raw)
}

const (
	zstd  = `, "annotations": {"io.github.containers.compression.zstd": "true"}`
	intel = `, "platform": {"os": "linux", "architecture": "amd64"`
	arm   = `, "platform": {"os": "linux", "architecture": "arm64"`
)

func attested(img v1.Image, t *testing.T) string {
	return `, "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": {"vnd.docker.reference.type": ` +
		`"attestation-manifest", "vnd.docker.reference.digest": "` +
		digest(t, img).String() + `"}`
}

// rich returns an index with all kinds of entries of other tools, and the entries.
func rich(t *testing.T) (w written, entries []string, images map[string]v1.Image) {
	t.Helper()
	images = map[string]v1.Image{}
	all := map[v1.Hash]v1.Image{}
	for _, name := range []string{"amd64", "amd64-zstd", "arm64", "win", "win-features", "attest-amd64",
		"attest-arm64", "artifact"} {
		platform := "linux/amd64"
		switch {
		case name == "arm64":
			platform = "linux/arm64"
		case strings.HasPrefix(name, "win"):
			platform = "windows/amd64:10.0.1"
		}
		images[name] = imageOf(t, platform, name)
		all[digest(t, images[name])] = images[name]
	}
	absent := "sha256:" + strings.Repeat("0", 64)
	entries = []string{
		item(t, images["arm64"], arm+`, "variant": "v8"}, "x-unknown": [1.50]`),
		item(t, images["amd64"], intel+`}`),
		item(t, images["amd64-zstd"], intel+`}`+zstd),
		item(t, images["win"], `, "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}`),
		item(t, images["win-features"],
			`, "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0.1", "os.features": ["win32k"]}`),
		item(t, images["attest-amd64"], attested(images["amd64"], t)),
		item(t, images["attest-arm64"], attested(images["arm64"], t)),
		item(t, images["artifact"], `, "artifactType": "application/vnd.example"`),
		`{ "mediaType": "text/plain", "digest": "` + absent + `", "size": 1 }`,
		`{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "` + absent +
			`", "size": 1, "platform": {"os": "linux", "architecture": "s390x"} }`,
		`{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "blake3:ff", "size": 1 }`,
	}
	w = written{empty.Index, richHead + strings.Join(entries, ",\n    ") + richTail, all, nil}
	return w, entries, images
}

const (
	richHead = "{\n  \"artifactType\": \"application/vnd.example.index\",\n" +
		"  \"subject\": {\"mediaType\": \"m\", \"digest\": \"sha256:1\", \"size\": 1},\n  \"manifests\": [\n    "
	richTail = "\n  ],\n  \"annotations\": {\"k\": \"v\"},\n  \"schemaVersion\": 2,\n" +
		"  \"x-unknown\": {\"b\": 1, \"a\": 2}\n}\n"
)

func TestAppendAndRemoveKeepOtherEntries(t *testing.T) {
	w, entries, images := rich(t)
	onto := source("target", w)
	riscv := imageOf(t, "linux/riscv64", "riscv")
	j, err := join.Join([]join.Source{source("riscv", riscv)}, join.Options{Onto: &onto, Missing: missing})
	require.NoError(t, err)
	got := text(t, j)
	assert.True(t, strings.HasPrefix(got, richHead), got)
	assert.True(t, strings.HasSuffix(got, richTail), got)
	for _, e := range entries {
		assert.Contains(t, got, e)
	}
	assert.Contains(t, got, digest(t, riscv).String())
	assert.Len(t, j.Present, len(entries)-1, "what is there need not be opened")

	// Adding the image again changes nothing.
	again, err := join.Join([]join.Source{source("riscv", riscv)}, join.Options{Onto: &join.Source{Name: "target",
		Index: written{w.anyIndex, got, w.images, nil}}, Missing: missing})
	require.NoError(t, err)
	assert.Equal(t, got, text(t, again))

	// Removing it restores the original bytes.
	back, err := join.Join(nil, join.Options{Onto: &join.Source{Name: "target", Index: written{w.anyIndex, got,
		w.images, nil}}, Remove: []v1.Platform{{OS: "linux", Architecture: "riscv64"}}})
	require.NoError(t, err)
	assert.Equal(t, w.text, text(t, back))

	// Removing a platform removes its images in all compressions, with their attestations.
	less, err := join.Join(nil, join.Options{Onto: &onto, Remove: []v1.Platform{{OS: "linux", Architecture: "amd64"}}})
	require.NoError(t, err)
	got = text(t, less)
	for i, e := range entries {
		if i == 1 || i == 2 || i == 5 {
			assert.NotContains(t, got, e)
		} else {
			assert.Contains(t, got, e)
		}
	}

	// So does replacing it.
	next := imageOf(t, "linux/amd64", "next")
	j, err = join.Join([]join.Source{source("next", next)}, join.Options{Onto: &onto, Replace: true})
	require.NoError(t, err)
	got = text(t, j)
	assert.NotContains(t, got, digest(t, images["amd64"]).String())
	assert.NotContains(t, got, digest(t, images["amd64-zstd"]).String())
	assert.Contains(t, got, entries[6])
	assert.Contains(t, strings.Join(j.Notes, "\n"), "target: replaced 3 entries for linux/amd64")

	_, err = join.Join([]join.Source{source("next", next)}, join.Options{Onto: &onto})
	var twice *join.DuplicateError
	require.ErrorAs(t, err, &twice)

	// Images that do not exist can be annotated in the index.
	_, err = join.Join([]join.Source{source("z", imageOf(t, "linux/s390x", "z"))}, join.Options{Onto: &onto})
	require.ErrorAs(t, err, &twice)
	j, err = join.Join(nil, join.Options{Onto: &onto, Annotations: map[string]string{"k": "v"}})
	require.NoError(t, err)
	assert.Equal(t, w.text, text(t, j), "the annotation is there")
	j, err = join.Join(nil, join.Options{Onto: &onto, Annotations: map[string]string{"n": "w"}})
	require.NoError(t, err)
	assert.Contains(t, text(t, j), `"annotations": {"k":"v","n":"w"}`)
}

func TestCopyKeepsSingleIndexUnchanged(t *testing.T) {
	w, entries, _ := rich(t)
	// An index without the entries that do not exist.
	w.text = richHead + strings.Join(entries[:8], ",\n    ") + richTail
	j, err := join.Join([]join.Source{source("one", w)}, join.Options{Copy: true})
	require.NoError(t, err)
	raw, err := j.Index.RawManifest()
	require.NoError(t, err)
	assert.Equal(t, w.text, string(raw))
	assert.Len(t, j.Children, 8)
	assert.Empty(t, j.Present)

	// Existing entries may be invalid, or not images.
	odd := w
	odd.text = `{"manifests":[` + item(t, w.images[w.any()], intel+`}`) + "," + entries[7] + `]}`
	j, err = join.Join([]join.Source{source("one", odd)}, join.Options{Copy: true})
	require.NoError(t, err)
	raw, err = j.Index.RawManifest()
	require.NoError(t, err)
	assert.Equal(t, odd.text, string(raw))

	list := written{w.anyIndex,
		`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[` +
			entries[1] + `]}`, w.images, nil}
	for name, o := range map[string]join.Options{"list": {Copy: true}, "docker": {Copy: true, Docker: true},
		"no attestations": {Copy: true, NoAttestations: true}} {
		j, err := join.Join([]join.Source{source("one", list)}, o)
		require.NoError(t, err, name)
		raw, err := j.Index.RawManifest()
		require.NoError(t, err)
		assert.Equal(t, list.text, string(raw), name)
	}
	for name, o := range map[string]join.Options{
		"annotated": {Copy: true, Annotations: map[string]string{"a": "b"}}, "without attestations": {Copy: true,
			NoAttestations: true}, "docker": {Copy: true, Docker: true},
	} {
		j, err := join.Join([]join.Source{source("one", w)}, o)
		require.NoError(t, err, name)
		raw, err := j.Index.RawManifest()
		require.NoError(t, err)
		assert.NotEqual(t, w.text, string(raw), name)
	}
}

func TestJoinCopiesAttestations(t *testing.T) {
	w, entries, images := rich(t)
	w.text = richHead + strings.Join(entries[:8], ",\n    ") + richTail
	z := imageOf(t, "linux/s390x", "z")
	j, err := join.Join([]join.Source{as("linux/arm64", source("one", w)), source("z", z)}, join.Options{Copy: true})
	require.NoError(t, err)
	var got []string
	for _, c := range j.Children {
		got = append(got, c.Platform().String()+" "+c.Descriptor.Digest.String())
	}
	assert.Equal(t, []string{
		"linux/arm64 " + digest(t, images["arm64"]).String(), "linux/s390x " + digest(t, z).String(),
		"unknown/unknown " + digest(t, images["attest-arm64"]).String(),
	}, got)
	assert.Contains(t, text(t, j), `"vnd.docker.reference.digest":"`+digest(t, images["arm64"]).String()+`"`)
	assert.Contains(t, text(t, j), `"x-unknown":[1.50]`, "and so do unknown fields")
	for name, o := range map[string]join.Options{"flag": {NoAttestations: true}, "docker": {Docker: true}} {
		j, err = join.Join([]join.Source{source("one", w), source("z", z)}, o)
		require.NoError(t, err)
		assert.NotContains(t, text(t, j), "unknown/unknown", name)
		assert.NotContains(t, text(t, j), "vnd.docker.reference", name)
		assert.Contains(t, strings.Join(j.Notes, "\n"), "one: skipped 2 attestations", name)
	}
}

func TestMissingImagesAreReportedOrSkipped(t *testing.T) {
	w, entries, images := rich(t)
	w.text = `{"schemaVersion":2,"manifests":[` + strings.Join([]string{entries[0], entries[1], entries[5],
		entries[6]}, ",") + "]}"
	w.absent = map[v1.Hash]bool{digest(t, images["arm64"]): true, digest(t, images["attest-arm64"]): true}
	o := join.Options{Copy: true, Missing: missing}
	_, err := join.Join([]join.Source{source("x", w)}, o)
	var absent *join.MissingError
	require.ErrorAs(t, err, &absent)
	assert.ErrorContains(t, err, "x: linux/arm64 (sha256:")
	assert.Contains(t, absent.Hint(), "--ignore-missing")
	_, err = join.Join([]join.Source{as("linux/arm64", source("x", w))}, o)
	require.ErrorAs(t, err, &absent)

	want := []string{is(t, "linux/amd64", images["amd64"]), is(t, "unknown/unknown", images["attest-amd64"])}
	assert.Equal(t, want, joinAll(t, o, as("linux/amd64", source("x", w))), "others are not opened")
	ignoring := o
	ignoring.IgnoreMissing = true
	assert.Equal(t, want, joinAll(t, ignoring, source("x", w)))
	saved := source("x", w)
	saved.Sparse = true
	assert.Equal(t, want, joinAll(t, o, saved))
	w.absent[digest(t, images["amd64"])] = true
	_, err = join.Join([]join.Source{source("x", w)}, ignoring)
	require.ErrorAs(t, err, &absent, "nothing is left")
}

func TestDockerLists(t *testing.T) {
	old, next, oci := docker(t, imageOf(t, "linux/amd64", "old")), docker(t, imageOf(t, "linux/arm64", "next")),
		imageOf(t, "linux/s390x", "oci")
	j, err := join.Join([]join.Source{source("old", old), source("oci", oci)}, join.Options{Docker: true})
	require.NoError(t, err)
	assert.Contains(t, text(t, j), `"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json"`)
	mediaType, err := j.Index.MediaType()
	require.NoError(t, err)
	assert.Equal(t, types.DockerManifestList, mediaType)

	list := source("list", mutate.IndexMediaType(indexOf(t, entry{"linux/amd64", old}), types.DockerManifestList))
	for name, c := range map[string]struct {
		add  v1.Image
		want types.MediaType
	}{"docker": {next, types.DockerManifestList}, "oci": {oci, types.OCIImageIndex}} {
		j, err := join.Join([]join.Source{source("x", c.add)}, join.Options{Onto: &list})
		require.NoError(t, err)
		mediaType, err := j.Index.MediaType()
		require.NoError(t, err)
		assert.Equal(t, c.want, mediaType, name)
		assert.Contains(t, text(t, j), string(c.want))
	}
	w, _, _ := rich(t)
	onto := source("rich", w)
	_, err = join.Join([]join.Source{source("x", imageOf(t, "linux/riscv64", "x"))}, join.Options{Onto: &onto,
		Docker: true})
	var lost *join.DockerError
	require.ErrorAs(t, err, &lost)
}

func TestJoinAcceptsDeclaredPlatforms(t *testing.T) {
	for _, p := range []string{"freebsd/amd64", "wasip1/wasm", "linux/arm64/v9", "linux/e2k", "plan9/mips"} {
		img := imageOf(t, "", p)
		assert.Equal(t, []string{is(t, p, img)}, joinAll(t, join.Options{}, as(p, source("x", img))), "given")
		assert.Equal(t, []string{is(t, p, img)}, joinAll(t, join.Options{}, source("x", indexOf(t, entry{p, img}))),
			"in the index")
	}
	bsd := imageOf(t, "freebsd/amd64", "bsd")
	assert.Equal(t, []string{is(t, "freebsd/amd64", bsd)}, joinAll(t, join.Options{}, source("x", bsd)),
		"in the config")
}

func TestAnnotations(t *testing.T) {
	w, entries, images := rich(t)
	onto := source("target", w)
	armPlatform := &v1.Platform{OS: "linux", Architecture: "arm64"}
	j, err := join.Join(nil, join.Options{Onto: &onto, EntryAnnotations: []join.PlatformAnnotation{{armPlatform,
		"e", "<1>"}}})
	require.NoError(t, err)
	got := text(t, j)
	assert.Contains(t, got, strings.TrimSuffix(entries[0], " }")+`, "annotations": {"e":"<1>"}`)
	for _, e := range entries[1:] {
		assert.Contains(t, got, e)
	}

	j, err = join.Join(nil, join.Options{Onto: &onto, ManifestAnnotations: []join.PlatformAnnotation{{armPlatform,
		"m", "2"}}})
	require.NoError(t, err)
	got = text(t, j)
	assert.NotContains(t, got, digest(t, images["arm64"]).String(), "neither the image nor its attestation")
	assert.Contains(t, got, `"x-unknown": [1.50]`)
	changed := j.Children[0]
	assert.False(t, j.Present[changed.Descriptor.Digest.String()])
	img, err := j.Index.Image(changed.Descriptor.Digest)
	require.NoError(t, err)
	m, err := img.Manifest()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"m": "2"}, m.Annotations)
	assert.Contains(t, strings.Join(j.Notes, "\n"), "skipped 1 attestation")

	_, err = join.Join([]join.Source{source("d", docker(t, imageOf(t, "linux/amd64", "d")))},
		join.Options{ManifestAnnotations: []join.PlatformAnnotation{{nil, "m", "2"}}})
	require.ErrorContains(t, err, "cannot have annotations")
	_, err = join.Join(nil, join.Options{Onto: &onto,
		EntryAnnotations: []join.PlatformAnnotation{{&v1.Platform{OS: "linux", Architecture: "ppc64le"}, "e", "1"}}})
	var absent *join.AbsentError
	require.ErrorAs(t, err, &absent)
}

// Entries of one index may have the same platform if they differ otherwise.
func TestJoinKeepsDistinguishableImagesOfOnePlatform(t *testing.T) {
	w, entries, images := rich(t)
	w.text = `{"schemaVersion":2,"manifests":[` + strings.Join(entries[1:5], ",") + "]}"
	z := imageOf(t, "linux/s390x", "z")
	got := joinAll(t, join.Options{}, source("x", w), source("z", z))
	assert.Len(t, got, 5)
	assert.Equal(t, is(t, "linux/amd64", images["amd64"]), got[0])
	assert.Equal(t, is(t, "linux/amd64", images["amd64-zstd"]), got[1])
	_, err := join.Join([]join.Source{source("x", w), source("y", imageOf(t, "linux/amd64", "y"))}, join.Options{})
	var twice *join.DuplicateError
	require.ErrorAs(t, err, &twice)
}
