package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/publish"
)

// stateOf is everything about the files below dir that a rewrite would change.
func stateOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	state := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		if name != ".multiarch.json" { // it is written ahead of the rest
			state[name] = info.ModTime().String() + " " + string(content)
		}
		return err
	}))
	return state
}

func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	root, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	list, err := root.IndexManifest()
	require.NoError(t, err)
	names := []string{}
	for _, d := range list.Manifests {
		names = append(names, d.Annotations["org.opencontainers.image.ref.name"])
	}
	return names
}

// whole checks every byte of a layout: that it is one, that nothing is missing or wrong, and that nothing is there
// that does not belong.
func whole(t testing.TB, dir string, names ...string) {
	t.Helper()
	require.Equal(t, append([]string{}, names...), namesIn(t, dir))
	root, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(root))

	used := map[string]bool{}
	var note func(v1.ImageIndex)
	note = func(index v1.ImageIndex) {
		list, err := index.IndexManifest()
		require.NoError(t, err)
		for _, d := range list.Manifests {
			used[d.Digest.Hex] = true
			if d.MediaType.IsIndex() {
				sub, err := index.ImageIndex(d.Digest)
				require.NoError(t, err)
				note(sub)
				continue
			}
			img, err := index.Image(d.Digest)
			require.NoError(t, err)
			m, err := img.Manifest()
			require.NoError(t, err)
			used[m.Config.Digest.Hex] = true
			for _, l := range m.Layers {
				used[l.Digest.Hex] = true
			}
		}
	}
	note(root)
	entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	require.NoError(t, err)
	for _, e := range entries {
		assert.True(t, used[e.Name()], "nothing refers to the blob %s", e.Name())
	}
	assert.Len(t, entries, len(used))
}

func blobPath(t testing.TB, dir string, d interface{ Digest() (v1.Hash, error) }) string {
	return filepath.Join(dir, "blobs", "sha256", digestOf(t, d).Hex)
}

func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dist")
	base := newLayer(t, "base", 200_000)
	py := service(t, "py-app", []v1.Layer{base}, amd64, armv7)
	hello := service(t, "hello", []v1.Layer{base}, amd64, arm64)
	require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{py, hello}, nil))

	whole(t, dir, "hello", "py-app")
	assert.EqualValues(t, 1, base.opened.Load(), "a shared layer is opened once")
	root, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	list, err := root.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, types.OCIImageIndex, list.Manifests[0].MediaType)
	assert.Equal(t, digestOf(t, hello.Index), list.Manifests[0].Digest)

	t.Run("nothing changed", func(t *testing.T) {
		before := stateOf(t, dir)
		require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello, py}, nil))
		assert.Equal(t, before, stateOf(t, dir))
		assert.EqualValues(t, 1, base.opened.Load())
	})
	t.Run("kept images and those that go", func(t *testing.T) {
		other := service(t, "zebra", nil, amd64)
		require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{other}, []string{"hello", "zebra", "unknown"}))
		whole(t, dir, "hello", "zebra")
		require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello}, nil))
		whole(t, dir, "hello")
		assert.EqualValues(t, 1, base.opened.Load())
	})
	t.Run("an image without anything kept", func(t *testing.T) {
		require.NoError(t, publish.Layout(t.Context(), dir, nil, nil))
		whole(t, dir)
	})
}

// What others have put into a layout stays, whatever it is called, and if it has no name at all.
func TestAddToLayout(t *testing.T) {
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	for _, seed := range []string{"one", "two"} {
		require.NoError(t, l.AppendImage(newImage(t, amd64, newLayer(t, seed, 1000))))
	}
	foreign := service(t, "foreign", nil, amd64)
	require.NoError(t, l.AppendIndex(foreign.Index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": "foreign", "theirs": "stays"})))
	hello := service(t, "hello", nil, amd64, arm64)
	for range 2 {
		require.NoError(t, publish.AddToLayout(t.Context(), dir, []publish.Image{hello}))
		whole(t, dir, "", "", "foreign", "hello")
	}
	root, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	list, err := root.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, "stays", list.Manifests[2].Annotations["theirs"])

	next := publish.Image{Name: "foreign", Index: service(t, "next", nil, arm64).Index}
	before := stateOf(t, filepath.Join(dir, "blobs"))
	require.NoError(t, publish.AddToLayout(t.Context(), dir, []publish.Image{next}))
	require.Equal(t, []string{"", "", "foreign", "hello"}, namesIn(t, dir))
	for file, state := range before {
		assert.Equal(t, state, stateOf(t, filepath.Join(dir, "blobs"))[file], "what other tools wrote stays, whether it is used or not")
	}
	require.Error(t, publish.AddToLayout(t.Context(), dir, []publish.Image{next, next}))
}

func TestLayoutReplacesWrongBlobs(t *testing.T) {
	dir := t.TempDir()
	base, other := newLayer(t, "base", 5000), newLayer(t, "other", 5000)
	hello := service(t, "hello", []v1.Layer{base}, amd64)
	py := service(t, "py-app", []v1.Layer{other}, amd64)
	require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello, py}, nil))

	flip := func(path string) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		content[len(content)/2] ^= 1
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
	for what, spoil := range map[string]func(){
		"a bit":      func() { flip(blobPath(t, dir, base)) },
		"truncated":  func() { require.NoError(t, os.Truncate(blobPath(t, dir, base), 7)) },
		"missing":    func() { require.NoError(t, os.Remove(blobPath(t, dir, base))) },
		"a manifest": func() { flip(blobPath(t, dir, childOf(t, hello, amd64))) },
		"an index":   func() { flip(blobPath(t, dir, hello.Index)) },
		"index.json": func() { flip(filepath.Join(dir, "index.json")) },
		"no index":   func() { require.NoError(t, os.Remove(filepath.Join(dir, "index.json"))) },
		"stale files": func() {
			touch(t, dir, ".multiarch-tmp-index.json", "blobs/sha256/.multiarch-tmp-"+strings.Repeat("a", 64))
		},
	} {
		t.Run(what, func(t *testing.T) {
			spoil()
			require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello, py}, nil))
			whole(t, dir, "hello", "py-app")
		})
	}
	assert.EqualValues(t, 1, other.opened.Load(), "what was right stayed")
	assert.EqualValues(t, 4, base.opened.Load(), "what was wrong was read again")

	t.Run("a kept image that is not whole", func(t *testing.T) {
		flip(blobPath(t, dir, other))
		require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello}, []string{"py-app"}))
		whole(t, dir, "hello")
	})
}

func touch(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, n), []byte("left behind"), 0o644))
	}
}

func TestLayoutRefusesForeignDirectories(t *testing.T) {
	hello := service(t, "hello", nil, amd64)
	for name, files := range map[string]map[string]string{
		"something else": {"main.go": "package main"},
		"looks alike":    {"index.json": "{}"},
		"future version": {"oci-layout": `{"imageLayoutVersion":"2.0.0"}`, "index.json": "{}"},
		"no json":        {"oci-layout": `1.0.0`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for n, content := range files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, n), []byte(content), 0o644))
			}
			before := stateOf(t, dir)
			err := publish.Layout(t.Context(), dir, []publish.Image{hello}, nil)
			var foreign *publish.NotLayoutError
			require.ErrorAs(t, err, &foreign)
			assert.Contains(t, err.Error(), dir)
			assert.Contains(t, foreign.Hint(), "--output")
			assert.Equal(t, before, stateOf(t, dir))
		})
	}
	t.Run("what a stopped first run leaves is ours", func(t *testing.T) {
		dir := t.TempDir()
		touch(t, dir, ".multiarch.lock", ".multiarch-tmp-oci-layout")
		require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello}, nil))
		whole(t, dir, "hello")
	})
	t.Run("made by somebody else", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{ "imageLayoutVersion" : "1.0.0" }`), 0o644))
		require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello}, nil))
		whole(t, dir, "hello")
	})
}

func TestLayoutFailuresLeaveTheOldLayout(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{service(t, "hello", nil, amd64)}, nil))
	before := stateOf(t, dir)

	failing := func(read func() io.ReadCloser) publish.Image {
		l := newLayer(t, "failing", 5000)
		l.read = read
		return service(t, "hello", []v1.Layer{l, newLayer(t, "fine", 5000)}, amd64, arm64)
	}
	text := func(s string) func() io.ReadCloser {
		return func() io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
	}
	same := int(sizeOf(t, newLayer(t, "failing", 5000)))
	for name, c := range map[string]struct {
		read func() io.ReadCloser
		want string
	}{
		"short":     {text("short"), "ends after 5 of"},
		"long":      {text(strings.Repeat("x", same+1)), "longer than"},
		"different": {text(strings.Repeat("x", same)), "does not have the digest"},
		"error":     {func() io.ReadCloser { return io.NopCloser(brokenReader{}) }, "bad sector"},
	} {
		t.Run(name, func(t *testing.T) {
			err := publish.Layout(t.Context(), dir, []publish.Image{failing(c.read)}, nil)
			require.ErrorContains(t, err, c.want)
			assert.Contains(t, err.Error(), dir)
			assert.Contains(t, err.Error(), "hello, linux/amd64: layer 1")
		})
	}
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := publish.Layout(ctx, dir, []publish.Image{failing(func() io.ReadCloser {
			cancel()
			return text(strings.Repeat("x", same))()
		})}, nil)
		require.ErrorIs(t, err, context.Canceled)
	})
	require.NoError(t, publish.Layout(t.Context(), dir, nil, []string{"hello"}), "clears away new blobs")
	assert.Equal(t, before, stateOf(t, dir))

	require.ErrorContains(t, publish.Layout(t.Context(), dir, []publish.Image{{Name: "a"}, {Name: "a"}}, nil), "two images are called a")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("bad sector") }

func sizeOf(t testing.TB, l v1.Layer) int64 {
	t.Helper()
	n, err := l.Size()
	require.NoError(t, err)
	return n
}

func TestLayoutTakesTurns(t *testing.T) {
	dir := t.TempDir()
	held := flock.New(filepath.Join(dir, ".multiarch.lock"))
	require.NoError(t, held.Lock())
	hello := service(t, "hello", nil, amd64)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, publish.Layout(ctx, dir, []publish.Image{hello}, nil), context.DeadlineExceeded)
	assert.NoFileExists(t, filepath.Join(dir, "oci-layout"))
	require.NoError(t, held.Unlock())

	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		image := service(t, name, nil, amd64, arm64)
		group.Go(func() {
			assert.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{image}, []string{"a", "b", "c", "d"}))
		})
	}
	group.Wait()
	whole(t, dir, "a", "b", "c", "d")
}

func TestLayoutIsReadByOthers(t *testing.T) {
	dir := t.TempDir()
	hello := service(t, "hello", []v1.Layer{newLayer(t, "base", 5000)}, amd64, arm64)
	require.NoError(t, publish.Layout(t.Context(), dir, []publish.Image{hello, service(t, "py-app", nil, amd64)}, nil))

	t.Run("skopeo", func(t *testing.T) {
		tool(t, "skopeo")
		want, err := hello.Index.RawManifest()
		require.NoError(t, err)
		assert.Equal(t, want, output(t, "skopeo", "inspect", "--raw", "oci:"+dir+":hello"))
		var seen struct {
			Architecture string
			Layers       []string
		}
		require.NoError(t, json.Unmarshal(output(t, "skopeo", "--override-arch", "arm64", "inspect", "oci:"+dir+":hello"), &seen))
		assert.Equal(t, "arm64", seen.Architecture)
		assert.Len(t, seen.Layers, 2)
		output(t, "skopeo", "copy", "--all", "--quiet", "oci:"+dir+":hello", "dir:"+t.TempDir())
	})
	t.Run("umoci", func(t *testing.T) {
		tool(t, "umoci")
		assert.Equal(t, "hello\npy-app\n", string(output(t, "umoci", "list", "--layout", dir)))
		output(t, "umoci", "stat", "--image", dir+":py-app")
	})
}
