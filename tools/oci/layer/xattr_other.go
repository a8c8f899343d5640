//go:build !linux

package layer

import "os"

// hasAttribute returns false: only Linux has file capabilities.
func hasAttribute(*os.File, string) bool { return false }
