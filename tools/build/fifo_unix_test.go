//go:build unix

package build_test

import "syscall"

var makeFIFO = func(path string) error { return syscall.Mkfifo(path, 0o644) }
