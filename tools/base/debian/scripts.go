package debian

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// The user that images run as which need no other, as distroless images have it.
const (
	nonroot     = "nonroot"
	nonrootID   = 65532
	nonrootHome = "/home/nonroot"
)

// caBundle is where OpenSSL, GnuTLS, Go and others look for all certificates.
const caBundle = "/etc/ssl/certs/ca-certificates.crt"

// status lists a package for scanners: distroless images have a file for each, as nothing in them updates a single one.
func (m *merger) status(p Package, c *control) {
	stanza := append(bytes.TrimSpace(c.stanza), '\n')
	m.make(p, layer.NewFile("/var/lib/dpkg/status.d/"+p.Name, 0o644, stanza))
	if len(c.md5sums) > 0 {
		m.make(p, layer.NewFile("/var/lib/dpkg/status.d/"+p.Name+".md5sums", 0o644, c.md5sums))
	}
}

// make adds an entry that a package does not have itself, where there is nothing.
func (m *merger) make(p Package, e layer.Entry) {
	if _, ok := m.items[e.Path]; ok {
		return
	}
	e.From = p.String() + ": made as its scripts would"
	m.items[e.Path] = item{e, p}
}

// scripts does what the scripts of the packages that are there would have done.
func (m *merger) scripts() error {
	for _, script := range []func() error{m.certificates, m.users, m.osRelease} {
		if err := script(); err != nil {
			return err
		}
	}
	return nil
}

// certificates does what update-ca-certificates does, apart from links that OpenSSL needs where it has no single file.
func (m *merger) certificates() error {
	p, ok := m.debs["ca-certificates"]
	if !ok {
		return nil
	}
	var bundle bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(m.items)) {
		if !strings.HasPrefix(name, "/usr/share/ca-certificates/mozilla/") || !strings.HasSuffix(name, ".crt") || m.items[name].Kind != layer.File {
			continue
		}
		cert, err := m.content(name)
		if err != nil {
			return err
		}
		bundle.Write(cert)
		if !bytes.HasSuffix(cert, []byte("\n")) {
			bundle.WriteByte('\n')
		}
	}
	m.make(p, layer.NewFile(caBundle, 0o644, bundle.Bytes()))
	m.make(p, layer.Entry{Path: "/usr/lib/ssl/cert.pem", Kind: layer.Symlink, Mode: 0o777, Link: caBundle})
	return nil
}

// users does what update-passwd does on a new system, and adds the user nonroot.
func (m *merger) users() error {
	p, ok := m.debs["base-passwd"]
	if !ok {
		return nil
	}
	for name, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d:%s:%s:/usr/sbin/nologin\n", nonroot, nonrootID, nonrootID, nonroot, nonrootHome),
		"group":  fmt.Sprintf("%s:x:%d:\n", nonroot, nonrootID),
	} {
		master := "/usr/share/base-passwd/" + name + ".master"
		if m.items[master].Kind != layer.File {
			return &HostileError{p.String(), master, "the file is missing"}
		}
		content, err := m.content(master)
		if err != nil {
			return err
		}
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
			content = append(content, '\n')
		}
		m.make(p, layer.NewFile("/etc/"+name, 0o644, append(content, line...)))
	}
	m.make(p, layer.Entry{Path: nonrootHome, Kind: layer.Dir, Mode: 0o700, UID: nonrootID, GID: nonrootID})
	return nil
}

// osRelease sees to it that the image says it is Debian: os-release(5). Which version it is, only base-files knows.
func (m *merger) osRelease() error {
	const etc, usr = "/etc/os-release", "/usr/lib/os-release"
	if _, ok := m.items[usr]; !ok {
		if _, ok := m.items[etc]; ok {
			return nil
		}
		m.items[usr] = item{Entry: layer.NewFile(usr, 0o644, []byte("PRETTY_NAME=\"Debian GNU/Linux\"\nNAME=\"Debian GNU/Linux\"\nID=debian\n"))}
	}
	if _, ok := m.items[etc]; !ok {
		m.items[etc] = item{Entry: layer.Entry{Path: etc, Kind: layer.Symlink, Mode: 0o777, Link: "../usr/lib/os-release"}}
	}
	return nil
}

// content reads a file that was taken in.
func (m *merger) content(name string) ([]byte, error) {
	r, err := m.items[name].Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out, err := readAll(r, maxText)
	if err != nil {
		return nil, &HostileError{m.items[name].owner.String(), name, err.Error()}
	}
	return out, nil
}
