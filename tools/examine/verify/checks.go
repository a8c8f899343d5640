package verify

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// checksVersion names what Verify checks and what it notes about layers. It changes with either, so that remembered
// verdicts and layers of another version are not used.
const checksVersion = "1"

// Memory keeps values between runs. A *cache.Store is one.
type Memory interface {
	// Get reads what was put under a kind and a key into v. It returns false if there is nothing.
	Get(kind, key string, v any) bool
	Put(kind, key string, v any) error
}

// Checks verify images that were just built, without repeating what earlier runs have found out. The zero value verifies
// everything anew.
type Checks struct {
	// Memory, unless it is nil, keeps verdicts by the digest of the image or index, and what layers hold by their
	// digests. Bytes whose digest was not compared with their descriptor are never remembered.
	Memory Memory
	// Away, unless it is nil, tells whether a layer would have to be downloaded to be read. Such layers are read only if
	// a check depends on them; the verdict has a note about each one that was not.
	IsRemote func(v1.Descriptor) bool
}

// The kinds of what is remembered.
const (
	verdictKind = "verdict"
	layerKind   = "contents"
)

// Verify is Source with a memory.
func (c Checks) Verify(ctx context.Context, s *source.Source) (*Verdict, error) {
	v := &Verdict{Problems: []Problem{}, Notes: []Problem{}}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", s.Name, err)
	}
	if c.recallVerdict(s, v) {
		return v, nil
	}
	*v = Verdict{Problems: []Problem{}, Notes: []Problem{}}
	if err := c.verify(ctx, s, v); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", s.Name, err)
	}
	c.storeVerdict(s, v)
	return v, nil
}

// known finds the verdict on an image or index that was verified before.
func (c Checks) recallVerdict(s *source.Source, v *Verdict) bool {
	if c.Memory == nil || !s.Intact() {
		return false
	}
	if c.Memory.Get(verdictKind, c.verdictKey(s, false), v) {
		return true
	}
	return c.IsRemote != nil && c.Memory.Get(verdictKind, c.verdictKey(s, true), v)
}

func (c Checks) verdictKey(s *source.Source, away bool) string {
	key := checksVersion + " " + s.Root.Digest.String()
	if away {
		key += " away"
	}
	return key
}

// remember keeps a verdict that depends on nothing but the digest: damage can be gone the next time.
func (c Checks) storeVerdict(s *source.Source, v *Verdict) {
	if c.Memory == nil || !s.Intact() {
		return
	}
	for _, p := range v.Problems {
		if p.Kind == "" {
			return
		}
	}
	// What cannot be remembered is found out again.
	_ = c.Memory.Put(verdictKind, c.verdictKey(s, v.SkippedLayers > 0), v)
}
