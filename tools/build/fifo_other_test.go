//go:build !unix

package build_test

var makeFIFO func(path string) error
