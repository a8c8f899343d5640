package cache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// server serves content and fails after a number of bytes.
type server struct {
	content  string
	breakAt  int  // 0 means never
	whole    bool // it ignores offsets
	requests []int64
}

func (s *server) open(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
	s.requests = append(s.requests, offset)
	if s.whole {
		offset = 0
	}
	var r io.Reader = strings.NewReader(s.content[offset:])
	if s.breakAt > 0 {
		r = io.MultiReader(io.LimitReader(r, int64(s.breakAt)), broken{})
	}
	return io.NopCloser(r), offset, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("connection lost")

func digestOf(t *testing.T, content string) v1.Hash {
	t.Helper()
	h, _, err := v1.SHA256(strings.NewReader(content))
	require.NoError(t, err)
	return h
}

func TestFetchResumes(t *testing.T) {
	const content = "0123456789"
	for name, c := range map[string]struct {
		whole    bool
		requests []int64
	}{
		"at the offset":          {false, []int64{0, 4, 8}},
		"at the start otherwise": {true, []int64{0, 4, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := cache.Open(t.TempDir())
			require.NoError(t, err)
			h := digestOf(t, content)
			s := &server{content: content, breakAt: 4, whole: c.whole}
			for range 2 {
				require.ErrorIs(t, store.Fetch(t.Context(), h, 10, s.open), errBroken)
				assert.False(t, store.Has(h, 10))
			}
			s.breakAt = 0
			require.NoError(t, store.Fetch(t.Context(), h, 10, s.open))
			assert.True(t, store.Check(h))
			require.NoError(t, store.Fetch(t.Context(), h, 10, s.open))
			assert.Equal(t, c.requests, s.requests, "a complete blob is not requested again")
		})
	}
}

func TestFetchRejectsUnexpectedContent(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		size    int64
		message string
	}{
		"too long":      {"0123456789", 4, "there is more content"},
		"other content": {"xxxx", 4, "its digest is sha256:"},
		"too short":     {"01", 4, "after 2 of 4 bytes: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := cache.Open(t.TempDir())
			require.NoError(t, err)
			h := digestOf(t, "0123")
			err = store.Fetch(t.Context(), h, c.size, (&server{content: c.content}).open)
			require.ErrorContains(t, err, c.message)
			assert.False(t, store.Has(h, c.size))

			// The next download succeeds.
			require.NoError(t, store.Fetch(t.Context(), h, 4, (&server{content: "0123"}).open))
			assert.True(t, store.Check(h))
		})
	}
}

func TestFetchStopsReadingAfterTheExpectedSize(t *testing.T) {
	store, err := cache.Open(t.TempDir())
	require.NoError(t, err)
	var read atomic.Int64
	endless := func(context.Context, int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(readerFunc(func(p []byte) (int, error) {
			read.Add(int64(len(p)))
			return len(p), nil
		})), 0, nil
	}
	var wrong *cache.WrongContentError
	require.ErrorAs(t, store.Fetch(t.Context(), digestOf(t, "x"), 1000, endless), &wrong)
	assert.NotEmpty(t, wrong.Hint())
	assert.Less(t, read.Load(), int64(64<<10))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestConcurrentFetchesDownloadOnce(t *testing.T) {
	store, err := cache.Open(t.TempDir())
	require.NoError(t, err)
	content := strings.Repeat("abc", 100_000)
	var opened atomic.Int32
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			return store.Fetch(t.Context(), digestOf(t, content), int64(len(content)), func(context.Context,
				int64) (io.ReadCloser, int64, error) {
				opened.Add(1)
				return io.NopCloser(bytes.NewReader([]byte(content))), 0, nil
			})
		})
	}
	require.NoError(t, group.Wait())
	assert.Equal(t, int32(1), opened.Load())
}
