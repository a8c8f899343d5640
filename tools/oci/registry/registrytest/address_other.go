//go:build !linux

package registrytest

import (
	"net"
	"testing"
)

// Address returns an address on loopback that nothing listens on. Another process may take it.
func Address(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
