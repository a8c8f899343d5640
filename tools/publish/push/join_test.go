package push_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// write pushes an image as another tool would, with docker media types if docker is true, and reads it back.
func (l *loopback) write(t testing.TB, reference string, img v1.Image, docker bool) join.Source {
	t.Helper()
	if docker {
		config, err := img.ConfigFile()
		require.NoError(t, err)
		img, err = mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(img, types.DockerManifestSchema2),
			types.DockerConfigJSON), config)
		require.NoError(t, err)
	}
	ref, err := name.ParseReference(l.host + "/" + reference)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, img, remote.WithContext(t.Context())))
	pulled, err := remote.Image(ref, registry.Client{}.Options(t.Context())...)
	require.NoError(t, err)
	return join.Source{Name: reference, Image: pulled}
}

// sourcesOf returns the repositories of the blobs of joined images.
func sourcesOf(t testing.TB, l *loopback, j *join.Joined, sources []join.Source) map[v1.Hash]name.Repository {
	t.Helper()
	all := map[v1.Hash]name.Repository{}
	for _, c := range j.Children {
		ref, err := name.ParseReference(l.host + "/" + sources[c.Source].Name)
		require.NoError(t, err)
		m, err := c.Image.Manifest()
		require.NoError(t, err)
		for _, d := range append(m.Layers, m.Config) {
			all[d.Digest] = ref.Context()
		}
	}
	return all
}

// Joining images of other repositories in the same registry transfers no blobs. From another registry, each blob is
// read once.
func TestPushJoinedImages(t *testing.T) {
	l, elsewhere := newLoopback(t, nil), newLoopback(t, nil)
	shared := contenttest.NewLayer(t, "base", 100_000)
	sources := []join.Source{
		l.write(t, "onap/py-app-arm64v8:latest",
			contenttest.NewImage(t, contenttest.ARM64, shared, contenttest.NewLayer(t, "arm", 3000)), false),
		l.write(t, "onap/py-app-amd64:latest",
			contenttest.NewImage(t, contenttest.AMD64, shared, contenttest.NewLayer(t, "intel", 3000)), true),
	}
	j, err := join.Join(sources, join.Options{})
	require.NoError(t, err)
	blobs := sourcesOf(t, l, j, sources)
	require.Len(t, blobs, 5)
	image := content.Image{Name: "onap/py-app", Index: j.Index}

	here := target(l, image, "latest", "v1")
	here.Sources = blobs
	before := len(l.Requests())
	_, err = publish(t, quick, here)
	require.NoError(t, err)
	assert.Len(t, l.mounts, 5)
	var put []string
	for _, r := range l.Requests()[before:] {
		assert.NotRegexp(t, `^GET /v2/.*/blobs/`, r.Name, "no blob is read")
		assert.NotRegexp(t, `^PATCH `, r.Name, "no blob is sent")
		if path, ok := strings.CutPrefix(r.Name, "PUT /v2/onap/py-app/"); ok {
			put = append(put, path)
		}
	}
	require.Len(t, put, 2+1+2, "two images, the index, two tags")
	for i, path := range put {
		assert.Equal(t, i > 2, path == "manifests/latest" || path == "manifests/v1", "the tags last")
	}
	published := l.index(t, "onap/py-app:latest")
	require.NoError(t, validate.Index(published))
	list, err := published.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, types.DockerManifestSchema2, list.Manifests[0].MediaType, "as it was")
	assert.Equal(t, l.digest(t, "onap/py-app-amd64:latest"), list.Manifests[0].Digest)
	assert.Equal(t, l.digest(t, "onap/py-app-arm64v8:latest"), list.Manifests[1].Digest)

	there := target(elsewhere, image, "latest")
	there.Sources = blobs
	before = len(l.Requests())
	_, err = publish(t, quick, there)
	require.NoError(t, err)
	assert.Empty(t, elsewhere.mounts)
	read := map[string]int{}
	for _, r := range l.Requests()[before:] {
		read[r.Name]++
	}
	for h := range blobs {
		n := 0
		for request, times := range read {
			if strings.HasPrefix(request, "GET ") && strings.HasSuffix(request, "/blobs/"+h.String()) {
				n += times
			}
		}
		assert.LessOrEqual(t, n, 1, "copied once")
	}
	require.NoError(t, validate.Index(elsewhere.index(t, "onap/py-app:latest")))
	assert.Equal(t, l.digest(t, "onap/py-app:latest"), elsewhere.digest(t, "onap/py-app:latest"))

	t.Run("images of two registries", func(t *testing.T) {
		third := elsewhere.write(t, "far/py-app:arm", contenttest.NewImage(t, arch.Platform{OS: "linux", Architecture: "arm"},
			shared), false)
		third.Platform = &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
		onto := join.Source{Name: "onap/py-app:latest", Index: published}
		j, err := join.Join([]join.Source{third}, join.Options{Onto: &onto})
		require.NoError(t, err)
		before := len(l.Requests())
		_, err = publish(t, quick, target(l, content.Image{Name: "onap/py-app", Index: j.Index}, "latest"))
		require.NoError(t, err)
		patched := 0
		for _, r := range l.Requests()[before:] {
			if strings.HasPrefix(r.Name, "PATCH ") {
				patched++
			}
		}
		assert.Equal(t, 1, patched, "the config is new here, the layer is not")
		list, err := l.index(t, "onap/py-app:latest").IndexManifest()
		require.NoError(t, err)
		require.Len(t, list.Manifests, 3)
		assert.Equal(t, "linux/arm/v7", list.Manifests[2].Platform.String())
		assert.Equal(t, elsewhere.digest(t, "far/py-app:arm"), list.Manifests[2].Digest)
	})
}

// The entries are equal to those of docker manifest create, annotate and push: with docker and OCI media types, for
// Windows, and with a variant that is not in the config.
func TestJoinedAsDockerDoes(t *testing.T) {
	contenttest.RequireTool(t, "docker")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	l := newLoopback(t, nil)
	windows := contenttest.NewImage(t, arch.Platform{OS: "windows", Architecture: "amd64"},
		contenttest.NewLayer(t, "nano", 3000))
	config, err := windows.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OSVersion, config.OSFeatures = "10.0.20348.169", []string{"win32k"}
	windows, err = mutate.ConfigFile(windows, config)
	require.NoError(t, err)
	arm := l.write(t, "onap/app-arm:latest", contenttest.NewImage(t, arch.Platform{OS: "linux", Architecture: "arm"},
		contenttest.NewLayer(t, "arm", 3000)), false)
	arm.Platform = &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	nano := l.write(t, "onap/app-nano:2019", windows, true)
	nano.Platform = &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1"}
	sources := []join.Source{
		l.write(t, "onap/app-windows:latest", windows, true),
		l.write(t, "onap/app-arm64v8:latest",
			contenttest.NewImage(t, arch.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"},
				contenttest.NewLayer(t, "arm64", 3000)), true),
		l.write(t, "onap/app-amd64:latest",
			contenttest.NewImage(t, contenttest.AMD64, contenttest.NewLayer(t, "intel", 3000)), true),
		arm,
	}
	list := l.host + "/onap/theirs:latest"
	args := []string{"manifest", "create", "--insecure", list}
	for _, s := range sources {
		args = append(args, l.host+"/"+s.Name)
	}
	contenttest.Output(t, "docker", args...)
	contenttest.Output(t, "docker", "manifest", "annotate", list, l.host+"/onap/app-arm:latest", "--os", "linux",
		"--arch", "arm", "--variant", "v7")
	contenttest.Output(t, "docker", "manifest", "annotate", list, l.host+"/onap/app-windows:latest",
		"--os-features", "win32k")
	contenttest.Output(t, "docker", "manifest", "push", "--insecure", "--purge", list)

	j, err := join.Join(sources, join.Options{})
	require.NoError(t, err)
	_, err = publish(t, quick, target(l, content.Image{Name: "onap/ours", Index: j.Index}, "latest"))
	require.NoError(t, err)
	entries := map[string][]v1.Descriptor{}
	for _, name := range []string{"ours", "theirs"} {
		list, err := l.index(t, "onap/"+name+":latest").IndexManifest()
		require.NoError(t, err)
		for _, d := range list.Manifests {
			p := arch.Canonical(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant) // docker keeps arm64/v8
			d.Platform.Variant = p.Variant
			entries[name] = append(entries[name], d)
		}
	}
	require.Len(t, entries["ours"], 4)
	assert.ElementsMatch(t, entries["theirs"], entries["ours"])

	// A given version of Windows takes precedence over the one in the config.
	j, err = join.Join([]join.Source{nano}, join.Options{Onto: &join.Source{Name: "ours", Index: j.Index}})
	require.NoError(t, err)
	require.Len(t, j.Children, 5)
	assert.Equal(t, &v1.Platform{
		OS:           "windows",
		Architecture: "amd64",
		OSVersion:    "10.0.17763.1",
		OSFeatures:   []string{"win32k"},
	}, j.Children[3].Descriptor.Platform)
	assert.Equal(t, j.Children[4].Descriptor.Digest, j.Children[3].Descriptor.Digest)
}
