// Package static provides the built-in base image, which contains what statically linked programs expect on Linux: CA
// certificates, time zones, users, and directories for temporary files. Its content comes from Go modules and the Go
// distribution. It needs no network, and is identical on all architectures.
package static

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"encoding/pem"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// zoneinfo is the time zone database of the Go distribution. It is copied so that images do not depend on the installed
// version of Go.
//
//go:generate sh -c "cp \"$(go env GOROOT)/lib/time/zoneinfo.zip\" zoneinfo.zip"
//go:embed zoneinfo.zip
var zoneinfo []byte

const nsswitch = `passwd: files
group: files
hosts: files dns
networks: files
services: files
protocols: files
`

// Roots is the path of the CA certificates, in PEM.
const Roots = "/etc/ssl/certs/ca-certificates.crt"

// Entries returns the entries of the static base.
func Entries() ([]layer.Entry, error) {
	roots, err := caRoots()
	if err != nil {
		return nil, err
	}
	var passwd, group strings.Builder
	for _, u := range Users() {
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s:%s:/sbin/nologin\n", u.Name, u.ID, u.ID, u.Name, u.Home)
		fmt.Fprintf(&group, "%s:x:%d:\n", u.Name, u.ID)
	}
	entries := []layer.Entry{
		layer.NewFile("/etc/passwd", 0o644, []byte(passwd.String())),
		layer.NewFile("/etc/group", 0o644, []byte(group.String())),
		layer.NewFile("/etc/nsswitch.conf", 0o644, []byte(nsswitch)),
		layer.NewFile(Roots, 0o644, roots),
		{Path: "/etc/ssl/cert.pem", Kind: layer.Symlink, Mode: 0o777, Link: "certs/ca-certificates.crt"},
		{Path: "/tmp", Kind: layer.Dir, Mode: 0o1777},
		{Path: "/var/tmp", Kind: layer.Dir, Mode: 0o1777},
		{Path: "/root", Kind: layer.Dir, Mode: 0o700},
		{Path: "/home/nonroot", Kind: layer.Dir, Mode: 0o700, UID: 65532, GID: 65532},
	}
	zones, err := timeZones()
	return append(entries, zones...), err
}

// Env returns the default environment of images on the static base.
func Env() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=" + Roots}
}

// caRoots returns Mozilla's roots as one PEM file. It omits roots with constraints: PEM cannot express them, and
// without its constraint a root would be trusted for more than Mozilla trusts it.
func caRoots() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("writing the CA roots: %w", err)
		}
	}
	return out.Bytes(), nil
}

func timeZones() ([]layer.Entry, error) {
	archive, err := zip.NewReader(bytes.NewReader(zoneinfo), int64(len(zoneinfo)))
	if err != nil {
		return nil, fmt.Errorf("reading the time zones: %w", err)
	}
	var entries []layer.Entry
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		content, err := readAll(f)
		if err != nil {
			return nil, fmt.Errorf("reading time zone %s: %w", f.Name, err)
		}
		entries = append(entries, layer.NewFile("/usr/share/zoneinfo/"+f.Name, 0o644, content))
	}
	return entries, nil
}

func readAll(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
