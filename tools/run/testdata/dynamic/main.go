// Command dynamic imitates an emulator that needs shared libraries. It is compiled as a position-independent
// executable, which needs a dynamic loader, and executes the emulator whose path is linked into it.
package main

import (
	"fmt"
	"os"
	"syscall"
)

var emulator string // set by -ldflags=-X

func main() {
	fmt.Fprintln(os.Stderr, syscall.Exec(emulator, os.Args, os.Environ()))
	os.Exit(98)
}
