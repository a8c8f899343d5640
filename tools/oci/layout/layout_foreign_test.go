package layout_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

// foreignLayout is a layout of other tools, with entries and files that multiarch never writes.
type foreignLayout struct {
	dir string
	// kept is the part of index.json that must not change.
	kept []string
	// files are all files except index.json.
	files map[string]string
}

func (f *foreignLayout) write(t *testing.T, name, content string) {
	t.Helper()
	file := filepath.Join(f.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
	f.files[name] = content
}

// blob writes a blob and returns its digest.
func (f *foreignLayout) blob(t *testing.T, content string) string {
	t.Helper()
	h, _, err := v1.SHA256(strings.NewReader(content))
	require.NoError(t, err)
	f.write(t, "blobs/sha256/"+h.Hex, content)
	return h.String()
}

func newForeignLayout(t *testing.T, newline string) *foreignLayout {
	t.Helper()
	f := &foreignLayout{dir: filepath.Join(t.TempDir(), "layout"), files: map[string]string{}}
	f.write(t, "oci-layout", "{ \"imageLayoutVersion\": \"1.0.0\", \"com.example\": 1 }\n")
	f.blob(t, "a blob that nothing refers to")
	f.write(t, "blobs/sha256/not-a-digest", "what another tool is writing")
	f.write(t, "blobs/sha256/.tmp-1234", "what another tool is writing")
	f.write(t, ".tmp-index.json", "what another tool is writing")
	f.write(t, "tags/notes.txt", "a file of another tool")
	sum := sha512.Sum512([]byte("{}"))
	long := hex.EncodeToString(sum[:])
	f.write(t, "blobs/sha512/"+long, "{}")
	f.write(t, "blobs/blake3/ff", "{}")
	config := f.blob(t, "{}")
	artifact := f.blob(t, `{"schemaVersion":2,"config":{"digest":"`+config+`"},"layers":[]}`)
	absent := "sha256:" + strings.Repeat("0", 63)
	sparse := f.blob(t, `{"schemaVersion":2,"manifests":[{"digest":"`+absent+
		`1","size":9,"mediaType":"application/vnd.oci.image.manifest.v1+json"}]}`)
	f.kept = []string{
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + artifact +
			`","size":1,"artifactType":"application/vnd.example","x":[1.50,"<&>"]}`,
		`{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"` + sparse +
			`","size":2,"annotations":{"org.opencontainers.image.ref.name":"sparse"}}`,
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + absent +
			`2","size":3,"annotations":{"org.opencontainers.image.ref.name":"nowhere"}}`,
		`{"mediaType":"text/plain","digest":"` + config + `","size":2}`,
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha512:` + long +
			`","size":2,"annotations":{"org.opencontainers.image.ref.name":"long"}}`,
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"blake3:ff","size":2,` +
			`"annotations":{"org.opencontainers.image.ref.name":"unknown"}}`,
		// Two entries for different platforms may have the same name.
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + artifact +
			`","size":1,"platform":{"os":"a","architecture":"b"},"annotations":{"org.opencontainers.image.ref.name":"twice"}}`,
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + artifact +
			`","size":1,"platform":{"os":"a","architecture":"c"},"annotations":{"org.opencontainers.image.ref.name":"twice"}}`,
	}
	index := `{"annotations":{"of":"the index"},"manifests":[` + newline + strings.Join(f.kept, ","+newline) + newline +
		`],"schemaVersion":2,"x-unknown":{"b":1,"a":2}}`
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "index.json"), []byte(index), 0o644))
	f.kept = append(f.kept, `{"annotations":{"of":"the index"},"manifests":[`,
		`"schemaVersion":2,"x-unknown":{"b":1,"a":2}}`)
	return f
}

// check requires that the files and entries of other tools are unchanged.
func (f *foreignLayout) check(t *testing.T) []byte {
	t.Helper()
	for name, content := range f.files {
		now, err := os.ReadFile(filepath.Join(f.dir, name))
		if assert.NoError(t, err) {
			assert.Equal(t, content, string(now), name)
		}
	}
	index, err := os.ReadFile(filepath.Join(f.dir, "index.json"))
	require.NoError(t, err)
	require.True(t, json.Valid(index), string(index))
	for _, text := range f.kept {
		assert.Contains(t, string(index), text)
	}
	return index
}

func TestLayoutsOfOtherToolsKeepTheirContent(t *testing.T) {
	n := 0
	for _, newline := range []string{"", "\n  "} {
		for name, write := range map[string]func(dir string, images ...content.Image) error{
			"build": func(dir string, images ...content.Image) error {
				return layout.Write(t.Context(), dir, images, []string{"hello", "other", "sparse"})
			},
			"index create": func(dir string, images ...content.Image) error {
				return layout.Add(t.Context(), dir, images)
			},
		} {
			n++
			t.Run(fmt.Sprintf("%s %q", name, newline), func(t *testing.T) {
				f := newForeignLayout(t, newline)
				hello, other := contenttest.Service(t, "hello", nil, contenttest.AMD64, contenttest.ARM64),
					contenttest.Service(t, "other", nil, contenttest.AMD64)
				require.NoError(t, write(f.dir, hello))
				first := f.check(t)
				assert.Contains(t, string(first), contenttest.DigestOf(t, hello.Index).String())

				state := stateOf(t, f.dir)
				require.NoError(t, write(f.dir, hello))
				assert.Equal(t, state, stateOf(t, f.dir), "nothing changed, and nothing is written")

				// If an image changes, only its unused blobs are removed.
				next := contenttest.Service(t, "hello", []v1.Layer{contenttest.NewLayer(t, "next", 1000)}, contenttest.AMD64)
				require.NoError(t, write(f.dir, next, other))
				f.check(t)
				assert.NoFileExists(t, blobPath(t, f.dir, contenttest.ChildOf(t, hello, contenttest.ARM64)))
				assert.FileExists(t, blobPath(t, f.dir, next.Index))

				// Only the entry with the same name is replaced.
				sparse := contenttest.Service(t, "sparse", nil, contenttest.AMD64)
				require.NoError(t, write(f.dir, sparse))
				assert.NotContains(t, readIndex(t, f.dir), f.kept[1])
				f.kept[1] = contenttest.DigestOf(t, sparse.Index).String()
				f.check(t)
				assert.Contains(t, readIndex(t, f.dir), contenttest.DigestOf(t, other.Index).String())
			})
		}
	}
	t.Logf("%d cases", n)
	require.Positive(t, n)
}

func readIndex(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	return string(raw)
}

// A build removes only images of earlier builds, and only blobs that no entry refers to.
func TestBuildsRemoveTheirOwn(t *testing.T) {
	f := newForeignLayout(t, "\n")
	base := contenttest.NewLayer(t, "base", 5000)
	one, two, joined := contenttest.Service(t, "one", []v1.Layer{base}, contenttest.AMD64), contenttest.Service(t, "two",
		nil, contenttest.AMD64), contenttest.Service(t, "joined", nil, contenttest.ARM64)
	require.NoError(t, layout.Write(t.Context(), f.dir, []content.Image{one, two}, []string{"one", "two"}))
	require.NoError(t, layout.Add(t.Context(), f.dir, []content.Image{joined}))
	// Another tool adds a second name for one of the images, and an artifact that refers to it.
	child := contenttest.ChildOf(t, one, contenttest.AMD64)
	index := readIndex(t, f.dir)
	entry := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,"digest":"` + contenttest.DigestOf(t,
		child).String() +
		`","annotations":{"org.opencontainers.image.ref.name":"copy"}}`
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "index.json"),
		[]byte(strings.Replace(index, `"manifests":[`, `"manifests":[`+entry+",", 1)), 0o644))
	f.kept = append(f.kept[:len(f.kept)-2], entry)

	require.NoError(t, layout.Write(t.Context(), f.dir, nil, []string{"two"}))
	now := f.check(t)
	assert.NotContains(t, string(now), contenttest.DigestOf(t, one.Index).String())
	assert.Contains(t, string(now), contenttest.DigestOf(t, two.Index).String())
	assert.Contains(t, string(now), contenttest.DigestOf(t, joined.Index).String(), "index create made it")
	assert.FileExists(t, blobPath(t, f.dir, base))
	assert.FileExists(t, blobPath(t, f.dir, child))
	assert.NoFileExists(t, blobPath(t, f.dir, one.Index))

	// Without the record, all entries count as those of other tools.
	require.NoError(t, os.Remove(filepath.Join(f.dir, ".multiarch.json")))
	require.NoError(t, layout.Write(t.Context(), f.dir, nil, nil))
	now = f.check(t)
	assert.Contains(t, string(now), contenttest.DigestOf(t, two.Index).String())
	assert.FileExists(t, blobPath(t, f.dir, two.Index))
}

// An entry that another tool wrote for the same image is not recorded as ours.
func TestAnEntryThatIsThereAlreadyIsNotOurs(t *testing.T) {
	dir, hello := t.TempDir(), contenttest.Service(t, "hello", nil, contenttest.AMD64)
	require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, nil))
	require.NoError(t, os.Remove(filepath.Join(dir, ".multiarch.json")))
	theirs := strings.Replace(readIndex(t, dir), `"annotations"`, `"x-unknown": [1.50], "annotations"`, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte(theirs), 0o644))
	for _, keep := range [][]string{{"hello"}, nil} {
		require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, keep))
		assert.Equal(t, theirs, readIndex(t, dir))
		require.NoError(t, layout.Write(t.Context(), dir, nil, keep))
		assert.Equal(t, theirs, readIndex(t, dir))
		assert.FileExists(t, blobPath(t, dir, hello.Index))
	}
}

func TestABrokenIndexOfOtherToolsIsNotReplaced(t *testing.T) {
	hello := contenttest.Service(t, "hello", nil, contenttest.AMD64)
	for name, index := range map[string]string{
		"cut off":   `{"schemaVersion":2,"manifests":[{"digest":`,
		"twice":     `{"schemaVersion":2,"manifests":[],"manifests":[]}`,
		"no object": `[]`,
		"empty":     "",
	} {
		t.Run(name, func(t *testing.T) {
			f := newForeignLayout(t, "")
			f.kept = nil
			require.NoError(t, os.WriteFile(filepath.Join(f.dir, "index.json"), []byte(index), 0o644))
			before := stateOf(t, f.dir)
			err := layout.Write(t.Context(), f.dir, []content.Image{hello}, nil)
			var broken *layout.BrokenIndexError
			require.ErrorAs(t, err, &broken)
			assert.Contains(t, broken.Hint(), "another directory")
			after := stateOf(t, f.dir)
			delete(after, ".multiarch.lock")
			assert.Equal(t, before, after)
		})
	}
	// If all entries were ours, the file is replaced.
	dir := t.TempDir()
	require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, nil))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), nil, 0o644))
	require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, nil))
	contenttest.RequireLayout(t, dir, "hello")
}

func TestReplaceExpectsADigest(t *testing.T) {
	f := newForeignLayout(t, "")
	first, second := contenttest.Service(t, "x", nil, contenttest.AMD64), contenttest.Service(t, "x", nil,
		contenttest.ARM64)
	first.Annotations = map[string]string{"a": "b"}
	require.NoError(t, layout.Replace(t.Context(), f.dir, first, v1.Hash{}))
	assert.Contains(t, string(f.check(t)), `"a":"b"`)
	err := layout.Replace(t.Context(), f.dir, second, v1.Hash{})
	var changed *layout.ChangedError
	require.ErrorAs(t, err, &changed)
	assert.Equal(t, contenttest.DigestOf(t, first.Index), changed.Actual)
	assert.NotContains(t, string(f.check(t)), contenttest.DigestOf(t, second.Index).String())
	require.NoError(t, layout.Replace(t.Context(), f.dir, second, contenttest.DigestOf(t, first.Index)))
	assert.NotContains(t, string(f.check(t)), contenttest.DigestOf(t, first.Index).String())
}

// Images that skopeo, regctl and umoci wrote into a layout stay readable for these tools after a build.
func TestLayoutsOfRealTools(t *testing.T) {
	source := t.TempDir()
	theirs := contenttest.Service(t, "theirs", []v1.Layer{contenttest.NewLayer(t, "theirs", 5000)}, contenttest.AMD64,
		contenttest.ARM64)
	require.NoError(t, layout.Write(t.Context(), source, []content.Image{theirs}, nil))
	for name, write := range map[string]func(dir string) []string{
		"skopeo": func(dir string) []string {
			return []string{"skopeo", "copy", "--all", "--quiet", "oci:" + source + ":theirs", "oci:" + dir + ":theirs"}
		},
		"regctl": func(dir string) []string {
			return []string{"regctl", "image", "copy", "ocidir://" + source + ":theirs", "ocidir://" + dir + ":theirs"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			contenttest.RequireTool(t, name)
			contenttest.RequireTool(t, "skopeo")
			dir := filepath.Join(t.TempDir(), "layout")
			command := write(dir)
			contenttest.Output(t, command[0], command[1:]...)
			before, want := stateOf(t, dir), contenttest.Output(t, "skopeo", "inspect", "--raw", "oci:"+dir+":theirs")
			hello := contenttest.Service(t, "hello", nil, contenttest.AMD64)
			require.NoError(t, layout.Write(t.Context(), dir, []content.Image{hello}, nil))
			require.NoError(t,
				layout.Write(t.Context(), dir, []content.Image{contenttest.Service(t, "hello", nil, contenttest.ARM64)}, nil))
			after := stateOf(t, dir)
			for file, state := range before {
				if file != "index.json" {
					assert.Equal(t, state, after[file], file)
				}
			}
			assert.Equal(t, want, contenttest.Output(t, "skopeo", "inspect", "--raw", "oci:"+dir+":theirs"))
			contenttest.Output(t, "skopeo", "inspect", "--raw", "oci:"+dir+":hello")
			contenttest.Output(t, command[0], command[1:]...)
			assert.True(t, bytes.Contains([]byte(readIndex(t, dir)), []byte(`"hello"`)))
		})
	}
}
