// Package format writes quantities for people: sizes, and numbers of things.
package format

import (
	"fmt"

	"github.com/docker/go-units"
)

// Bytes returns a size with three significant digits and a decimal unit, as in "1.37 MB".
func Bytes(n int64) string {
	return units.CustomSize("%.3g %s", float64(n), 1000, []string{"B", "kB", "MB", "GB", "TB"})
}

// Count returns n with a noun that takes an s in the plural, as in "1 blob" and "2 blobs".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
