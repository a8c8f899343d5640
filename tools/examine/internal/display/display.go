// Package display formats values for the terminal output of the examine packages.
package display

import (
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// printable keeps what somebody else has written on one line and harmless to a terminal.
func OneLine(s string) string {
	quoted := strconv.Quote(s)
	if quoted == `"`+s+`"` {
		return s
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// bytesOf is a size in powers of ten, as docker writes it.
func Size(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
