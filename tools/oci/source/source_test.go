package source_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/examine/inspect"
	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// requireVerified checks that verify finds no problems, and returns its verdict.
func requireVerified(t *testing.T, s *source.Source) *verify.Verdict {
	t.Helper()
	v, err := verify.Source(t.Context(), s)
	require.NoError(t, err, s.Name)
	require.Empty(t, v.Problems, s.Name)
	return v
}

// dockerImages returns example.com/hello for amd64 and arm64, each with the architecture as its tag.
func dockerImages(t *testing.T) map[name.Reference]v1.Image {
	t.Helper()
	images := map[name.Reference]v1.Image{}
	for _, p := range []string{"linux/amd64", "linux/arm64"} {
		tag, err := name.NewTag("example.com/hello:" + filepath.Base(p))
		require.NoError(t, err)
		images[tag] = sourcetest.Hello(t, p)
	}
	return images
}

func TestOpenFindsTheSameByEveryReference(t *testing.T) {
	index := sourcetest.HelloIndex(t, "linux/amd64", "linux/arm64")
	want, err := index.Digest()
	require.NoError(t, err)
	dir := sourcetest.WriteLayout(t, index)
	archive := sourcetest.TarDir(t, dir)
	host := sourcetest.ServeRegistry(t, nil)
	sourcetest.Push(t, host+"/hello:v1", index)

	for _, ref := range []string{
		"oci:" + dir, "oci:" + dir + ":hello", "oci:" + dir + ":" + want.String(),
		"oci-archive:" + archive, "oci-archive:" + archive + ":hello", archive,
		host + "/hello:v1", host + "/hello@" + want.String(),
	} {
		s := sourcetest.Open(t, ref)
		assert.Equal(t, ref, s.Name)
		assert.Equal(t, want, s.Root.Digest, ref)
		assert.Equal(t, types.OCIImageIndex, s.Root.MediaType, ref)
		require.NotNil(t, s.Index, ref)
		assert.Nil(t, s.Image, ref)
		assert.Equal(t, 2, requireVerified(t, s).Children)
	}
}

func TestOpenOfADockerArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docker.tar")
	require.NoError(t, tarball.MultiRefWriteToFile(file, dockerImages(t)))
	_, err := source.Open(t.Context(), registry.Client{}, "docker-archive:"+file)
	var entry *source.EntryError
	require.ErrorAs(t, err, &entry)
	assert.ElementsMatch(t, []string{"example.com/hello:amd64", "example.com/hello:arm64"}, entry.Known)
	_, err = source.Open(t.Context(), registry.Client{}, "docker-archive:"+file+":example.com/hello:arm46")
	require.ErrorAs(t, err, &entry)
	assert.Contains(t, entry.Hint(), `did you mean "example.com/hello:arm64"?`)

	s := sourcetest.Open(t, "docker-archive:"+file+":example.com/hello:arm64")
	require.NotNil(t, s.Image)
	requireVerified(t, s)
	r, err := inspect.NewReport(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, r.Children, 1)
	assert.Equal(t, "linux/arm64", r.Children[0].Platform.String())

	single := filepath.Join(t.TempDir(), "one.tar")
	tag, err := name.NewTag("hello")
	require.NoError(t, err)
	wrong := sourcetest.Image(t, "linux/arm/v6", nil,
		sourcetest.HelloLayer(t, string(sourcetest.Compile(t, "linux/arm/v7"))))
	require.NoError(t, tarball.WriteToFile(single, tag, wrong))
	for _, ref := range []string{
		single, "docker-archive:" + single, "docker-archive:" + single + ":docker.io/library/hello:latest",
	} {
		v, err := verify.Source(t.Context(), sourcetest.Open(t, ref))
		require.NoError(t, err)
		require.Len(t, v.Problems, 1, ref)
		assert.Equal(t, "built for GOARM=7, which linux/arm/v6 cannot run", v.Problems[0].Text)
	}
}

func TestOpenSaysWhatThereIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	path, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	_, err = source.Open(t.Context(), registry.Client{}, "oci:"+dir)
	require.ErrorContains(t, err, "has no images")
	for i, n := range []string{"hello", "world"} {
		img := mutate.Annotations(empty.Image, map[string]string{"n": string(rune('a' + i))}).(v1.Image)
		require.NoError(t, path.AppendImage(img, called(n)...))
	}

	for ref, want := range map[string]struct{ message, hint string }{
		"oci:" + dir:           {"has 2 images, and the reference does not select one", "known: hello, world"},
		"oci:" + dir + ":helo": {`has no image "helo"`, `did you mean "hello"? known: hello, world`},
		"oci-archive:" + sourcetest.TarDir(t, dir) + ":wo": {`has no image "wo"`, "known: hello, world"},
	} {
		_, err := source.Open(t.Context(), registry.Client{}, ref)
		var entry *source.EntryError
		require.ErrorAs(t, err, &entry, ref)
		assert.ErrorContains(t, err, "opening "+ref+": ")
		assert.ErrorContains(t, err, want.message)
		assert.Equal(t, want.hint, entry.Hint())
	}
}

func TestOpenRefusesWhatIsNoImage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return file
	}
	host := sourcetest.ServeRegistry(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/v2/old/manifests/") {
			w.Header().Set("Content-Type", string(types.DockerManifestSchema1Signed))
			_, _ = io.WriteString(w, `{"schemaVersion":1}`)
			return
		}
		next.ServeHTTP(w, r)
	})
	odd := sourcetest.WriteLayout(t, empty.Image)
	raw, err := os.ReadFile(filepath.Join(odd, "index.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(odd, "index.json"),
		bytes.ReplaceAll(raw, []byte(types.DockerManifestSchema2), []byte("text/plain")), 0o644))

	for ref, want := range map[string]string{
		"oci:" + dir:                   "is not an OCI layout: it has no file oci-layout",
		"oci:" + dir + "/none":         "is not an OCI layout",
		"oci:" + odd:                   `neither an image nor an image index but "text/plain"`,
		"oci-archive:" + dir + "/none": "no such file",
		write("empty.tar", ""):         "it has neither oci-layout nor manifest.json",
		write("text.tar",
			strings.Repeat("no tar ", 100)): "as a tar archive",
		"docker-archive:" +
			write("e.tar", string(sourcetest.Tar(t))): "is not a docker archive: it has no file manifest.json",
		"oci-archive:" + write("f.tar",
			string(sourcetest.Tar(t))): "is not an OCI layout",
		"docker-archive:" + write("g.tar",
			string(sourcetest.Tar(t, sourcetest.File{Name: "manifest.json", Text: "{"}))): "reading manifest.json",
		host + "/old:1":    "neither an image nor an image index but",
		host + "/hello:no": "NAME_UNKNOWN",
		"Not A Reference":  "reference",
	} {
		_, err := source.Open(t.Context(), registry.Client{}, ref)
		assert.ErrorContains(t, err, want, ref)
		assert.ErrorContains(t, err, "opening "+ref)
	}
	_, err = source.Open(t.Context(), registry.Client{}, host+"/old:1")
	var kind *source.KindError
	require.ErrorAs(t, err, &kind)
	assert.Contains(t, kind.Hint(), "push the image again")
	_, err = source.Open(t.Context(), registry.Client{}, "oci-archive:"+dir+"/none")
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestOpenReadsWhatSkopeoWrites(t *testing.T) {
	sourcetest.FindProgram(t, "skopeo")
	index := sourcetest.HelloIndex(t, "linux/amd64", "linux/arm64")
	dir := sourcetest.WriteLayout(t, index)
	host := sourcetest.ServeRegistry(t, nil)
	sourcetest.Push(t, host+"/hello:v1", index)
	temp := t.TempDir()
	skopeo := func(args ...string) {
		sourcetest.RunTool(t, "skopeo",
			append([]string{"--insecure-policy", "--tmpdir", temp, "copy", "--quiet", "--src-tls-verify=false"}, args...)...)
	}
	for to, args := range map[string][]string{
		"oci:" + temp + "/dir:hello":              {"--all", "docker://" + host + "/hello:v1"},
		"oci:" + temp + "/again":                  {"--all", "oci:" + dir + ":hello"},
		"oci-archive:" + temp + "/oci.tar:hello":  {"--all", "docker://" + host + "/hello:v1"},
		"docker-archive:" + temp + "/d.tar:a/b:c": {"--override-arch=arm64", "docker://" + host + "/hello:v1"},
		"oci:" + temp + "/one:arm":                {"--override-arch=arm64", "docker://" + host + "/hello:v1"},
	} {
		skopeo(append(args, to)...)
		s := sourcetest.Open(t, to)
		assert.Equal(t, args[0] == "--all", s.Index != nil, to)
		if !strings.HasPrefix(to, "docker-archive:") {
			want, _, err := v1.SHA256(bytes.NewReader(sourcetest.RunTool(t, "skopeo", "inspect", "--raw", to)))
			require.NoError(t, err)
			assert.Equal(t, want, s.Root.Digest, to)
		}
		requireVerified(t, s)
		r, err := inspect.NewReport(t.Context(), s)
		require.NoError(t, err, to)
		assert.Equal(t, "linux/arm64", r.Children[len(r.Children)-1].Platform.String(), to)
	}
}

func TestOpenFollowsNoLinkOutOfALayout(t *testing.T) {
	dir := sourcetest.WriteLayout(t, sourcetest.HelloIndex(t, "linux/amd64"))
	for _, name := range []string{"index.json", "oci-layout"} {
		t.Run(name, func(t *testing.T) {
			other := t.TempDir()
			require.NoError(t, os.CopyFS(other, os.DirFS(dir)))
			require.NoError(t, os.Remove(filepath.Join(other, name)))
			require.NoError(t, os.Symlink(filepath.Join(dir, name), filepath.Join(other, name)))
			_, err := source.Open(t.Context(), registry.Client{}, "oci:"+other)
			require.ErrorContains(t, err, "a symbolic link leaves the layout")
			s, err := source.Open(t.Context(), registry.Client{}, "oci-linked:"+other)
			require.NoError(t, err)
			require.NoError(t, s.Close())
		})
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(sourcetest.Tar(f, sourcetest.File{Name: "oci-layout", Text: "{}"}, sourcetest.File{
		Name: "index.json",
		Text: `{"manifests":[{}]}`,
	}))
	f.Add(sourcetest.Tar(f, sourcetest.File{Name: "manifest.json", Text: `[{"Config":"c","Layers":["l"]}]`},
		sourcetest.File{Name: "c", Text: "{}"}, sourcetest.File{Name: "l", Link: "l"}))
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(t.TempDir(), "a.tar")
		require.NoError(t, os.WriteFile(name, content, 0o644))
		s, err := source.Open(t.Context(), registry.Client{}, name)
		if err != nil {
			return
		}
		defer func() { require.NoError(t, s.Close()) }()
		if v, err := verify.Source(t.Context(), s); err == nil {
			assert.NotNil(t, v.Problems)
		}
		_, _ = inspect.NewReport(t.Context(), s)
		_, _ = inspect.DockerManifests(t.Context(), s)
	})
}
