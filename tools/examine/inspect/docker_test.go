package inspect_test

import (
	"bytes"
	"encoding/json"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/inspect"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// dockerTyped is img as docker itself would have pushed it.
func dockerTyped(t testing.TB, img v1.Image) v1.Image {
	img = mutate.ConfigMediaType(mutate.MediaType(img, types.DockerManifestSchema2), types.DockerConfigJSON)
	config, err := img.ConfigFile()
	require.NoError(t, err)
	img, err = mutate.ConfigFile(img, config)
	require.NoError(t, err)
	return img
}

func TestDockerManifestsAreWhatDockerPrints(t *testing.T) {
	sourcetest.FindProgram(t, "docker")
	host := sourcetest.ServeRegistry(t, nil)
	images := map[string]v1.Image{}
	for _, p := range []string{"linux/amd64", "linux/arm/v7", "linux/arm64"} {
		images[p] = sourcetest.Image(t, p, func(c *v1.ConfigFile) { c.Config.Labels = map[string]string{"a": "<&>"} },
			sourcetest.SharedLayer(t))
	}
	images["windows/amd64"] = sourcetest.Image(t, "windows/amd64", func(c *v1.ConfigFile) {
		c.OSVersion, c.OSFeatures = "10.0.20348.1", []string{"win32k"}
	}, sourcetest.SharedLayer(t))
	annotated := mutate.Annotations(images["linux/arm64"], map[string]string{
		"title": "a < b & \u2028 ü",
		"z":     "",
		"a":     "\\",
	}).(v1.Image)

	oci := sourcetest.Index(t, sourcetest.Child{Platform: "linux/amd64", Image: images["linux/amd64"]},
		sourcetest.Child{Platform: "linux/arm/v7", Image: images["linux/arm/v7"]},
		sourcetest.Child{Platform: "linux/arm64/v8", Image: annotated}, sourcetest.Child{
			Platform: "",
			Image:    images["linux/arm64"],
		})
	list := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	for _, p := range []string{"linux/amd64", "linux/arm/v7", "windows/amd64"} {
		list = mutate.AppendManifests(list, mutate.IndexAddendum{Add: dockerTyped(t, images[p]), Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: "amd64", OSVersion: "10.0.1", OSFeatures: []string{"x", "y"},
				Features: []string{"sse4"}, Variant: "v1"},
			Annotations: map[string]string{"not": "shown"},
		}})
	}
	pretty := sourcetest.IndentedManifest{Image: annotated}
	for tag, what := range map[string]any{
		"oci-index": oci, "docker-list": list, "oci-image": images["linux/arm/v7"], "annotated": annotated, "pretty": pretty,
		"docker-image": dockerTyped(t, images["linux/amd64"]), "windows": images["windows/amd64"],
	} {
		ref := host + "/some/hello:" + tag
		sourcetest.Push(t, ref, what)
		root := sourcetest.Open(t, ref).Root.Digest.String()
		for _, ref := range []string{ref, host + "/some/hello@" + root, ref + "@" + root} {
			want := sourcetest.RunTool(t, "docker", "manifest", "inspect", "--insecure", "--verbose", ref)
			got, err := inspect.DockerManifests(t.Context(), sourcetest.Open(t, ref))
			require.NoError(t, err, ref)
			assert.Equal(t, string(want), string(got), ref)
		}
	}
	sourcetest.Push(t, host+"/hello:latest", oci)
	want := sourcetest.RunTool(t, "docker", "manifest", "inspect", "--insecure", "--verbose", host+"/hello")
	got, err := inspect.DockerManifests(t.Context(), sourcetest.Open(t, host+"/hello"))
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestDockerManifestsOfALayout(t *testing.T) {
	dir := sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64", "linux/arm/v7"))
	ref := "oci:" + dir + ":hello"
	s := sourcetest.Open(t, ref)
	raw, err := inspect.DockerManifests(t.Context(), s)
	require.NoError(t, err)
	var list []struct {
		Ref        string
		Descriptor v1.Descriptor
		Raw        []byte
	}
	require.NoError(t, json.Unmarshal(raw, &list))
	require.Len(t, list, 2)
	for _, m := range list {
		assert.Equal(t, ref+"@"+m.Descriptor.Digest.String(), m.Ref)
		sum, _, err := v1.SHA256(bytes.NewReader(m.Raw))
		require.NoError(t, err)
		assert.Equal(t, m.Descriptor.Digest, sum)
	}
	assert.Equal(t, "v7", list[1].Descriptor.Platform.Variant)
}
