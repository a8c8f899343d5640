package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// observers read nothing, a part, or all of the content.
var observers = map[string]layer.Observer{
	"nothing": func(*tar.Header, io.Reader) {},
	"a part":  func(_ *tar.Header, content io.Reader) { _, _ = io.CopyN(io.Discard, content, 3) },
	"all":     func(_ *tar.Header, content io.Reader) { _, _ = io.Copy(io.Discard, content) },
}

func TestObserversDoNotChangeTheLayer(t *testing.T) {
	entries := append(sample(), layer.NewFile("/large", 0o644, bytes.Repeat([]byte("0123456789"), 50_000)))
	var want bytes.Buffer
	d, err := layer.Write(t.Context(), &want, entries, layer.Options{})
	require.NoError(t, err)
	for name, observe := range observers {
		var got bytes.Buffer
		seen := 0
		again, err := layer.Write(t.Context(), &got, entries, layer.Options{Observe: func(h *tar.Header,
			content io.Reader) {
			seen++
			observe(h, content)
		}})
		require.NoError(t, err, name)
		assert.Equal(t, d, again, name)
		assert.True(t, bytes.Equal(want.Bytes(), got.Bytes()), name)
		assert.GreaterOrEqual(t, seen, len(entries), name)
	}
}

// TestObserversDoNotHideErrors uses observers that ignore every error.
func TestObserversDoNotHideErrors(t *testing.T) {
	cause := errors.New("cause")
	changed := layer.NewFile("/a", 0o644, []byte("content"))
	changed.SHA256 = layer.NewFile("/a", 0o644, []byte("CONTENT")).SHA256
	longer, shorter := layer.NewFile("/a", 0o644, []byte("content")), layer.NewFile("/a", 0o644, []byte("content"))
	longer.Size--
	shorter.Size++
	broken := layer.NewFile("/a", 0o644, []byte("content"))
	broken.Contents = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader([]byte("cont")), failing{cause})), nil
	}
	for name, observe := range observers {
		o := layer.Options{Observe: observe}
		for _, e := range []layer.Entry{changed, longer, shorter} {
			_, err := layer.Write(t.Context(), io.Discard, []layer.Entry{e}, o)
			assert.ErrorContains(t, err, "the file changed while it was read", name)
		}
		_, err := layer.Write(t.Context(), io.Discard, []layer.Entry{broken}, o)
		assert.ErrorIs(t, err, cause, name)
		_, err = layer.Write(t.Context(), fullDisk{}, sample(), o)
		assert.Error(t, err, name)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
