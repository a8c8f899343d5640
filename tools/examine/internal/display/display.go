// Package display formats values for the terminal output of the examine packages.
package display

import (
	"strconv"
	"strings"

	"github.com/multiarch-build/multiarch/tools/internal/format"
)

// OneLine escapes line breaks and control characters in text from an image, which could harm a terminal.
func OneLine(s string) string {
	quoted := strconv.Quote(s)
	if quoted == `"`+s+`"` {
		return s
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// Size returns a size with its unit.
func Size(n int64) string { return format.Bytes(n) }
