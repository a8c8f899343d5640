// Command greet prints a greeting and the architecture it was built for. With --version it prints its version.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// version is set by the linker.
var version = "unknown"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		fmt.Println(version)
		return
	}
	word, err := os.ReadFile("/etc/greet/greeting")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s from %s/%s\n", strings.TrimSpace(string(word)), runtime.GOOS, runtime.GOARCH)
}
