package layout_test

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
	"testing/iotest"
	"time"

	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// stateOf describes the files below dir, so that any rewrite changes the result.
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

func blobPath(t testing.TB, dir string, d interface{ Digest() (v1.Hash, error) }) string {
	return filepath.Join(dir, "blobs", "sha256", contenttest.DigestOf(t, d).Hex)
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dist")
	base := contenttest.NewLayer(t, "base", 200_000)
	py := contenttest.Service(t, "py-app", []v1.Layer{base}, contenttest.AMD64, contenttest.ARMv7)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64, contenttest.ARM64)
	require.NoError(t, layout.Write(t.Context(), dir, []content.Image{py, hello}, nil))

	contenttest.RequireLayout(t, dir, "hello", "py-app")
	assert.EqualValues(t, 1, base.Opened.Load(), "a shared layer is opened once")
	root, err := ggcrlayout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	list, err := root.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, types.OCIImageIndex, list.Manifests[0].MediaType)
	assert.Equal(t, contenttest.DigestOf(t, hello.Index), list.Manifests[0].Digest)

	t.Run("nothing changed", func(t *testing.T) {
		before := stateOf(t, dir)
		require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello, py}, nil))
		assert.Equal(t, before, stateOf(t, dir))
		assert.EqualValues(t, 1, base.Opened.Load())
	})
	t.Run("kept images and those that go", func(t *testing.T) {
		other := contenttest.Service(t, "zebra", nil, contenttest.AMD64)
		require.NoError(t, layout.Write(t.Context(), dir, []content.Image{other}, []string{"hello", "zebra", "unknown"}))
		contenttest.RequireLayout(t, dir, "hello", "zebra")
		require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, nil))
		contenttest.RequireLayout(t, dir, "hello")
		assert.EqualValues(t, 1, base.Opened.Load())
	})
	t.Run("an image without anything kept", func(t *testing.T) {
		require.NoError(t, layout.Write(t.Context(), dir, nil, nil))
		contenttest.RequireLayout(t, dir)
	})
}

// Entries of other tools stay, with any name or none.
func TestAddKeepsOtherImages(t *testing.T) {
	dir := t.TempDir()
	l, err := ggcrlayout.Write(dir, empty.Index)
	require.NoError(t, err)
	for _, seed := range []string{"one", "two"} {
		require.NoError(t, l.AppendImage(contenttest.NewImage(t, contenttest.AMD64, contenttest.NewLayer(t, seed, 1000))))
	}
	foreign := contenttest.Service(t, "foreign", nil, contenttest.AMD64)
	require.NoError(t, l.AppendIndex(foreign.Index, ggcrlayout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": "foreign", "theirs": "stays"})))
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64)
	for range 2 {
		require.NoError(t, layout.Add(t.Context(), dir, []content.Image{hello}))
		contenttest.RequireLayout(t, dir, "", "", "foreign", "hello")
	}
	root, err := ggcrlayout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	list, err := root.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, "stays", list.Manifests[2].Annotations["theirs"])

	next := content.Image{Name: "foreign", Index: contenttest.Service(t, "next", nil, contenttest.ARM64).Index}
	before := stateOf(t, filepath.Join(dir, "blobs"))
	require.NoError(t, layout.Add(t.Context(), dir, []content.Image{next}))
	require.Equal(t, []string{"", "", "foreign", "hello"}, contenttest.LayoutNames(t, dir))
	for file, state := range before {
		assert.Equal(t, state, stateOf(t, filepath.Join(dir, "blobs"))[file],
			"what other tools wrote stays, whether it is used or not")
	}
	require.Error(t, layout.Add(t.Context(), dir, []content.Image{next, next}))
}

func TestWriteReplacesWrongBlobs(t *testing.T) {
	dir := t.TempDir()
	base, other := contenttest.NewLayer(t, "base", 5000), contenttest.NewLayer(t, "other", 5000)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64)
	py := contenttest.Service(t, "py-app", []v1.Layer{other}, contenttest.AMD64)
	require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello, py}, nil))

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
		"a manifest": func() { flip(blobPath(t, dir, contenttest.ChildOf(t, hello, contenttest.AMD64))) },
		"an index":   func() { flip(blobPath(t, dir, hello.Index)) },
		"index.json": func() { flip(filepath.Join(dir, "index.json")) },
		"no index":   func() { require.NoError(t, os.Remove(filepath.Join(dir, "index.json"))) },
		"stale files": func() {
			touch(t, dir, ".multiarch-tmp-index.json", "blobs/sha256/.multiarch-tmp-"+strings.Repeat("a", 64))
		},
	} {
		t.Run(what, func(t *testing.T) {
			spoil()
			require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello, py}, nil))
			contenttest.RequireLayout(t, dir, "hello", "py-app")
		})
	}
	assert.EqualValues(t, 1, other.Opened.Load(), "what was right stayed")
	assert.EqualValues(t, 4, base.Opened.Load(), "what was wrong was read again")

	t.Run("a kept image that is not whole", func(t *testing.T) {
		flip(blobPath(t, dir, other))
		require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, []string{"py-app"}))
		contenttest.RequireLayout(t, dir, "hello")
	})
}

func touch(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, n), []byte("left behind"), 0o644))
	}
}

func TestWriteRefusesOtherDirectories(t *testing.T) {
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64)
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
			err := layout.Write(t.Context(), dir, []content.Image{hello}, nil)
			var foreign *layout.NotLayoutError
			require.ErrorAs(t, err, &foreign)
			assert.Contains(t, err.Error(), dir)
			assert.Contains(t, foreign.Hint(), "--output")
			assert.Equal(t, before, stateOf(t, dir))
		})
	}
	t.Run("what a stopped first run leaves is ours", func(t *testing.T) {
		dir := t.TempDir()
		touch(t, dir, ".multiarch.lock", ".multiarch-tmp-oci-layout")
		require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, nil))
		contenttest.RequireLayout(t, dir, "hello")
	})
	t.Run("made by another tool", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{ "imageLayoutVersion" : "1.0.0" }`),
			0o644))
		require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, nil))
		contenttest.RequireLayout(t, dir, "hello")
	})
}

func TestFailedWriteKeepsTheOldLayout(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t,
		layout.Write(t.Context(), dir, []content.Image{contenttest.Service(t, "hello", nil, contenttest.AMD64)}, nil))
	before := stateOf(t, dir)

	failing := func(read func() io.ReadCloser) content.Image {
		l := contenttest.NewLayer(t, "failing", 5000)
		l.Read = read
		return contenttest.Service(t, "hello", []v1.Layer{l, contenttest.NewLayer(t, "fine", 5000)}, contenttest.AMD64,
			contenttest.ARM64)
	}
	text := func(s string) func() io.ReadCloser {
		return func() io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
	}
	same := int(sizeOf(t, contenttest.NewLayer(t, "failing", 5000)))
	for name, c := range map[string]struct {
		read func() io.ReadCloser
		want string
	}{
		"short":     {text("short"), "ends after 5 of"},
		"long":      {text(strings.Repeat("x", same+1)), "longer than"},
		"different": {text(strings.Repeat("x", same)), "does not match its digest"},
		"error":     {func() io.ReadCloser { return io.NopCloser(iotest.ErrReader(errors.New("bad sector"))) }, "bad sector"},
	} {
		t.Run(name, func(t *testing.T) {
			err := layout.Write(t.Context(), dir, []content.Image{failing(c.read)}, nil)
			require.ErrorContains(t, err, c.want)
			assert.Contains(t, err.Error(), dir)
			assert.Contains(t, err.Error(), "hello, linux/amd64: layer 1")
		})
	}
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := layout.Write(ctx, dir, []content.Image{failing(func() io.ReadCloser {
			cancel()
			return text(strings.Repeat("x", same))()
		})}, nil)
		require.ErrorIs(t, err, context.Canceled)
	})
	require.NoError(t, layout.Write(t.Context(), dir, nil, []string{"hello"}), "clears away new blobs")
	assert.Equal(t, before, stateOf(t, dir))

	require.ErrorContains(t, layout.Write(t.Context(), dir, []content.Image{{Name: "a"}, {Name: "a"}}, nil),
		"duplicate image name \"a\"")
}

func sizeOf(t testing.TB, l v1.Layer) int64 {
	t.Helper()
	n, err := l.Size()
	require.NoError(t, err)
	return n
}

func TestConcurrentWritesWait(t *testing.T) {
	dir := t.TempDir()
	held := flock.New(filepath.Join(dir, ".multiarch.lock"))
	require.NoError(t, held.Lock())
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, layout.Write(ctx, dir, []content.Image{hello}, nil), context.DeadlineExceeded)
	assert.NoFileExists(t, filepath.Join(dir, "oci-layout"))
	require.NoError(t, held.Unlock())

	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		image := contenttest.Service(t, name, nil, contenttest.AMD64, contenttest.ARM64)
		group.Go(func() {
			assert.NoError(t, layout.Write(t.Context(), dir, []content.Image{image}, []string{"a", "b", "c", "d"}))
		})
	}
	group.Wait()
	contenttest.RequireLayout(t, dir, "a", "b", "c", "d")
}

func TestOtherToolsReadTheLayout(t *testing.T) {
	dir := t.TempDir()
	hello := contenttest.Service(t, "hello", []v1.Layer{contenttest.NewLayer(t, "base", 5000)}, contenttest.AMD64,
		contenttest.ARM64)
	require.NoError(t, layout.Write(t.Context(), dir,
		[]content.Image{hello, contenttest.Service(t, "py-app", nil, contenttest.AMD64)}, nil))

	t.Run("skopeo", func(t *testing.T) {
		contenttest.RequireTool(t, "skopeo")
		want, err := hello.Index.RawManifest()
		require.NoError(t, err)
		assert.Equal(t, want, contenttest.Output(t, "skopeo", "inspect", "--raw", "oci:"+dir+":hello"))
		var seen struct {
			Architecture string
			Layers       []string
		}
		require.NoError(t,
			json.Unmarshal(contenttest.Output(t, "skopeo", "--override-arch", "arm64", "inspect", "oci:"+dir+":hello"), &seen))
		assert.Equal(t, "arm64", seen.Architecture)
		assert.Len(t, seen.Layers, 2)
		contenttest.Output(t, "skopeo", "copy", "--all", "--quiet", "oci:"+dir+":hello", "dir:"+t.TempDir())
	})
	t.Run("umoci", func(t *testing.T) {
		contenttest.RequireTool(t, "umoci")
		assert.Equal(t, "hello\npy-app\n", string(contenttest.Output(t, "umoci", "list", "--layout", dir)))
		contenttest.Output(t, "umoci", "stat", "--image", dir+":py-app")
	})
}
