package verify

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// checksVersion is part of the keys in a Memory. Increment it when the checks, the texts of a verdict or layerRecord
// change, so that values of other versions are not used.
const checksVersion = "2"

// Memory stores values between runs. *cache.Store implements it.
type Memory interface {
	// Get reads the value of a kind and a key into v, and reports whether there is one.
	Get(kind, key string, v any) bool
	Put(kind, key string, v any) error
}

// Checks verify images and reuse the results of earlier runs. The zero value reuses nothing.
type Checks struct {
	// Memory, if set, stores verdicts by the digest of the image or index, and the contents of layers by theirs. Only
	// content that matches its digest is stored.
	Memory Memory
	// IsRemote, if set, reports whether reading a layer requires a download. Such layers are read only if a check depends
	// on them; the verdict has a note for each layer that was skipped.
	IsRemote func(v1.Descriptor) bool
}

// The kinds of values in a Memory.
const (
	verdictKind = "verdict"
	layerKind   = "contents"
)

// Verify is like Source, but reuses the results in c.Memory.
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

// recallVerdict looks up the verdict of an earlier run.
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

// storeVerdict stores a verdict that depends only on the digest. Damage may be repaired before the next run.
func (c Checks) storeVerdict(s *source.Source, v *Verdict) {
	if c.Memory == nil || !s.Intact() {
		return
	}
	for _, p := range v.Problems {
		if p.Kind == "" {
			return
		}
	}
	// If this fails, the next run verifies the image again.
	_ = c.Memory.Put(verdictKind, c.verdictKey(s, v.SkippedLayers > 0), v)
}
