// Package format formats sizes and counts for messages.
package format

import (
	"fmt"

	"github.com/docker/go-units"
)

// Bytes returns a size with three significant digits and a decimal unit, as in "1.37MB".
func Bytes(n int64) string {
	return units.HumanSizeWithPrecision(float64(n), 3)
}

// Count returns n with a noun that forms its plural with s, as in "1 blob" and "2 blobs".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
