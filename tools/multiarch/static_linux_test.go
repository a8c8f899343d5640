package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// probe is a program that reports what it can use in its image.
const probe = `package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"time"
)

func main() {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	fmt.Println("zone", err, time.Unix(0, 0).In(tokyo).Format("15:04"))
	me, err := user.LookupId("65532")
	fmt.Println("user", err, me.Username, me.HomeDir, os.Getuid(), os.Getgid())
	for _, dir := range []string{"/tmp", "/home/nonroot", "/var/tmp"} {
		fmt.Println("writable", dir, os.WriteFile(dir+"/x", nil, 0o600))
	}
	fmt.Println("protected", os.WriteFile("/etc/passwd", nil, 0o600) != nil)
	response, err := http.Get(os.Getenv("PROBE_URL"))
	if err != nil {
		fmt.Println("tls", err)
		return
	}
	body, err := io.ReadAll(response.Body)
	fmt.Println("tls", err, string(body))
}
`

// TestStaticBase runs a program on the static base, natively and under emulation. It finds time zones, users, writable
// directories, and the CA certificates, including an additional one.
func TestStaticBase(t *testing.T) {
	skipShort(t)
	t.Parallel()
	server, ca := newTLSServer(t)
	s := services{t.TempDir(), t.TempDir()}
	s.write(t, "go.mod", "module example.com/probe\n\ngo 1.24\n")
	s.write(t, "main.go", probe)
	s.write(t, "ca.pem", string(ca))
	s.write(t, "multiarch.yaml", `version: 1
platforms: [linux/amd64, linux/arm64, linux/s390x]
images:
  trusting: {go: {package: .}, user: nonroot, files: [{from: ca.pem, to: /etc/ssl/certs/}]}
  strict: {go: {package: .}, user: nonroot}
`)
	run := func(t *testing.T, image, platform string) string {
		t.Helper()
		cmd := s.command("run", "-q", image, "--platform", platform, "--env", "PROBE_URL="+server.URL)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	for platform, emulator := range map[string]string{
		"linux/amd64": "",
		"linux/arm64": "qemu-aarch64-static",
		"linux/s390x": "qemu-s390x-static",
	} {
		t.Run(filepath.Base(platform), func(t *testing.T) {
			if emulator != "" {
				tool(t, emulator)
			}
			assert.Equal(t, `zone <nil> 09:00
user <nil> nonroot /home/nonroot 65532 65532
writable /tmp <nil>
writable /home/nonroot <nil>
writable /var/tmp <nil>
protected true
tls <nil> secret
`, run(t, "trusting", platform))
			assert.Contains(t, run(t, "strict", platform), "certificate signed by unknown authority")
		})
	}
}

// newTLSServer serves on loopback with a certificate of a new CA, and returns the certificate of the CA.
func newTLSServer(t *testing.T) (*httptest.Server, []byte) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return k
	}
	caKey, serverKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	require.NoError(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &serverKey.PublicKey, caKey)
	require.NoError(t, err)

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "secret")
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: serverKey}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
}
