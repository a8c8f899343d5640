// Command greet prints a greeting and the architecture it was built for.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

func main() {
	word, err := os.ReadFile("/etc/greet/greeting")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s from %s/%s\n", strings.TrimSpace(string(word)), runtime.GOOS, runtime.GOARCH)
}
