package static

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// Versions of the embedded data. Tests compare them with go.mod and the Go distribution.
const (
	rootsVersion = "v0.0.0-20261030153154-30a33513ff6d"
	zonesVersion = "2025c"
)

// Lock returns the record of the static base in lock files.
func Lock() (lock.Static, error) {
	entries, err := Entries()
	if err != nil {
		return lock.Static{}, err
	}
	slices.SortFunc(entries, func(a, b layer.Entry) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%s %q %04o %d %d %q %s\n", e.Kind, e.Path, e.Mode, e.UID, e.GID, e.Link, e.SHA256)
	}
	fmt.Fprintf(h, "env %q\n", Env())
	digest := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
	return lock.Static{Digest: digest, CARoots: rootsVersion, TimeZones: zonesVersion}, nil
}
