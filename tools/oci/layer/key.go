package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Key identifies the bytes that Write would write: equal keys mean equal bytes. It reads no files,
// so every file entry must have its digest. Entries are hashed in Go syntax, which automatically
// covers new fields and, unlike JSON, distinguishes names that are not UTF-8.
func Key(entries []Entry, o Options) string {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %t %t %d\n", Format, gzipLevel, o.OS == windows, o.Zstd, o.Epoch.Unix())
	for _, e := range sorted {
		e.From, e.Contents = "", nil // the source does not affect the bytes
		fmt.Fprintf(h, "%#v\n", e)
	}
	return hex.EncodeToString(h.Sum(nil))
}
