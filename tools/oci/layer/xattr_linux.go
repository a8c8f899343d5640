package layer

import (
	"os"

	"golang.org/x/sys/unix"
)

// hasAttribute reports whether a file has an extended attribute.
func hasAttribute(f *os.File, name string) bool {
	size, err := unix.Fgetxattr(int(f.Fd()), name, nil)
	return err == nil && size > 0
}
