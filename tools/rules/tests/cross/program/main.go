// Command program asks the C library for something, so that it cannot be built without cgo.
package main

/*
#cgo LDFLAGS: -lm
#include <math.h>
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Printf("%s %.2f\n", runtime.GOARCH, float64(C.cos(C.double(len(os.Args)-1))))
}
