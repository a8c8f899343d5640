package inspect

import (
	"bytes"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
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
	Away func(v1.Descriptor) bool
}

// The kinds of what is remembered.
const (
	verdictKind = "verdict"
	layerKind   = "contents"
)

// Verify is the function Verify with a memory.
func (c Checks) Verify(ctx context.Context, s *Source) (*Verdict, error) {
	v := &Verdict{Problems: []Problem{}, Notes: []Problem{}}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", s.Name, err)
	}
	if c.known(s, v) {
		return v, nil
	}
	*v = Verdict{Problems: []Problem{}, Notes: []Problem{}}
	if err := s.verify(ctx, v, c); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", s.Name, err)
	}
	c.remember(s, v)
	return v, nil
}

// known finds the verdict on an image or index that was verified before.
func (c Checks) known(s *Source, v *Verdict) bool {
	if c.Memory == nil || !s.Intact() {
		return false
	}
	if c.Memory.Get(verdictKind, c.verdictKey(s, false), v) {
		return true
	}
	return c.Away != nil && c.Memory.Get(verdictKind, c.verdictKey(s, true), v)
}

func (c Checks) verdictKey(s *Source, away bool) string {
	key := checksVersion + " " + s.Root.Digest.String()
	if away {
		key += " away"
	}
	return key
}

// remember keeps a verdict that depends on nothing but the digest: damage can be gone the next time.
func (c Checks) remember(s *Source, v *Verdict) {
	if c.Memory == nil || !s.Intact() {
		return
	}
	for _, p := range v.Problems {
		if p.Kind == "" {
			return
		}
	}
	// What cannot be remembered is found out again.
	_ = c.Memory.Put(verdictKind, c.verdictKey(s, v.Away > 0), v)
}

// Intact tells whether the manifest of s is the one that its digest is for.
func (s *Source) Intact() bool {
	var raw []byte
	var err error
	if s.Index != nil {
		raw, err = s.Index.RawManifest()
	} else {
		raw, err = s.Image.RawManifest()
	}
	if err != nil {
		return false
	}
	got, _, err := v1.SHA256(bytes.NewReader(raw))
	return err == nil && got == s.Root.Digest
}
