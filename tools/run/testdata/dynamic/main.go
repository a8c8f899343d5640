// Command dynamic stands for an emulator that needs its libraries: compiled as a position independent executable, it
// asks for a dynamic loader, and hands over to the program whose path is linked into it.
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
