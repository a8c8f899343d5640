package verify

import (
	"context"
	"fmt"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/internal/memo"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// layerCache reads every layer once, even if several children share it, and drops it after the last of them.
type layerCache struct {
	source *source.Source
	checks Checks
	mu     sync.Mutex
	// users counts the children that still need a layer.
	users  map[v1.Hash]int
	layers memo.Map[v1.Hash, *layerContents]
}

func newLayerCache(s *source.Source, children []*childCheck, with Checks) *layerCache {
	c := &layerCache{source: s, checks: with, users: map[v1.Hash]int{}}
	for _, child := range children {
		for h := range child.layerDigests() {
			c.users[h]++
		}
	}
	return c
}

// layerDigests returns the digests of the layers of a child.
func (c *childCheck) layerDigests() map[v1.Hash]bool {
	own := map[v1.Hash]bool{}
	if c.manifest != nil {
		for _, d := range c.manifest.Parsed.Layers {
			own[d.Digest] = true
		}
	}
	return own
}

// get reads a layer of img, or waits for another goroutine that reads it.
func (c *layerCache) get(ctx context.Context, img v1.Image, d v1.Descriptor) (*layerContents, error) {
	content, err := c.layers.Get(d.Digest, func() (*layerContents, error) {
		if known, ok := c.lookup(d); ok {
			return known, nil
		}
		e := &examiner{}
		defer e.close()
		content, err := readLayer(ctx, c.source, img, d, e)
		if err == nil {
			c.store(d, content)
		}
		return content, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading layer %s: %w", d.Digest, err)
	}
	return content, nil
}

// isRemote reports whether examining a layer requires a download.
func (c *layerCache) isRemote(d v1.Descriptor) bool {
	if c.checks.IsRemote == nil || !c.checks.IsRemote(d) {
		return false
	}
	_, known := c.lookup(d)
	return !known
}

// release reports that child no longer needs its layers.
func (c *layerCache) release(child *childCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range child.layerDigests() {
		if c.users[h]--; c.users[h] == 0 {
			c.layers.Forget(h)
		}
	}
}
