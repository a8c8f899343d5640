// Package manifest holds the rules that apply to every manifest and image index, whether it comes from a registry, an
// OCI layout or an archive: its maximum length, which descriptors are invalid, and which index entries are images,
// attestations or other artifacts.
package manifest

import (
	"encoding/json"
	"fmt"
	"io"
)

// Limit is the maximum length in bytes of a manifest, image index or image config. Registries accept at least 4 MiB
// (distribution spec, "Pushing Manifests").
const Limit = 8 << 20

// TooLargeError reports a manifest, index or config that is longer than Limit.
type TooLargeError struct{}

func (*TooLargeError) Error() string {
	return fmt.Sprintf("longer than the %d bytes that a manifest, index or config may have", Limit)
}

// SizeError reports a descriptor with a negative size. Libraries interpret -1 as "unknown" and read without a limit.
type SizeError struct {
	Digest string
	Size   int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("invalid descriptor: %s has a size of %d bytes", e.Digest, e.Size)
}

// Read reads a manifest, index or config. It returns a *TooLargeError if r has more than Limit bytes.
func Read(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, Limit+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > Limit {
		return nil, &TooLargeError{}
	}
	return raw, nil
}

// Check returns a *SizeError if a descriptor in a manifest or index has a negative size. It ignores syntax errors,
// which parsing the content reports.
func Check(raw []byte) error {
	type descriptor struct {
		Digest string `json:"digest"`
		Size   int64  `json:"size"`
	}
	var m struct {
		Config    descriptor   `json:"config"`
		Subject   descriptor   `json:"subject"`
		Layers    []descriptor `json:"layers"`
		Manifests []descriptor `json:"manifests"`
		Blobs     []descriptor `json:"blobs"`
	}
	_ = json.Unmarshal(raw, &m) // an invalid field does not affect the others
	for _, list := range [][]descriptor{{m.Config, m.Subject}, m.Layers, m.Manifests, m.Blobs} {
		for _, d := range list {
			if d.Size < 0 {
				return &SizeError{d.Digest, d.Size}
			}
		}
	}
	return nil
}
