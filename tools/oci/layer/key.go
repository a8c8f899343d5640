package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Key identifies what Write would write: equal keys mean equal bytes. It reads no files, so every file must come with its
// digest. Entries are hashed in Go syntax, which covers new fields by itself and, unlike JSON, keeps names apart that are
// not UTF-8.
func Key(entries []Entry, o Options) string {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %t %t %d\n", Format, gzipLevel, o.OS == windows, o.Zstd, o.Epoch.Unix())
	for _, e := range sorted {
		e.From, e.Contents = "", nil // where it comes from makes no difference to the bytes
		fmt.Fprintf(h, "%#v\n", e)
	}
	return hex.EncodeToString(h.Sum(nil))
}
