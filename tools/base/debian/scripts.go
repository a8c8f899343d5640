package debian

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// The unprivileged user of distroless images.
const (
	nonroot     = "nonroot"
	nonrootID   = 65532
	nonrootHome = "/home/nonroot"
)

// caBundle is the file in which OpenSSL, GnuTLS, Go and others look for CA certificates.
const caBundle = "/etc/ssl/certs/ca-certificates.crt"

// addStatus lists a package for scanners, in one file per package as in distroless images.
func (m *merger) addStatus(p Package, c *control) {
	stanza := append(bytes.TrimSpace(c.stanza), '\n')
	m.addGenerated(p, layer.NewFile("/var/lib/dpkg/status.d/"+p.Name, 0o644, stanza))
	if len(c.md5sums) > 0 {
		m.addGenerated(p, layer.NewFile("/var/lib/dpkg/status.d/"+p.Name+".md5sums", 0o644, c.md5sums))
	}
}

// addGenerated adds an entry that a script of a package would create, unless its path exists.
func (m *merger) addGenerated(p Package, e layer.Entry) {
	if _, ok := m.items[e.Path]; ok {
		return
	}
	e.From = p.String() + ": created in place of its scripts"
	m.items[e.Path] = item{e, p}
}

// runScripts creates what the maintainer scripts of the packages would create.
func (m *merger) runScripts() error {
	for _, script := range []func() error{m.addCertificates, m.addUsers, m.addOSRelease} {
		if err := script(); err != nil {
			return err
		}
	}
	return nil
}

// addCertificates acts like update-ca-certificates, but omits the hashed links, which OpenSSL does not need beside the
// bundle.
func (m *merger) addCertificates() error {
	p, ok := m.debs["ca-certificates"]
	if !ok {
		return nil
	}
	var bundle bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(m.items)) {
		const dir = "/usr/share/ca-certificates/mozilla/"
		if !strings.HasPrefix(name, dir) || !strings.HasSuffix(name, ".crt") || m.items[name].Kind != layer.File {
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
	m.addGenerated(p, layer.NewFile(caBundle, 0o644, bundle.Bytes()))
	m.addGenerated(p, layer.Entry{Path: "/usr/lib/ssl/cert.pem", Kind: layer.Symlink, Mode: 0o777, Link: caBundle})
	return nil
}

// addUsers acts like update-passwd on a new system, and adds the user nonroot.
func (m *merger) addUsers() error {
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
			return &InvalidPackageError{p.String(), master, "file is missing"}
		}
		content, err := m.content(master)
		if err != nil {
			return err
		}
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
			content = append(content, '\n')
		}
		m.addGenerated(p, layer.NewFile("/etc/"+name, 0o644, append(content, line...)))
	}
	m.addGenerated(p, layer.Entry{Path: nonrootHome, Kind: layer.Dir, Mode: 0o700, UID: nonrootID, GID: nonrootID})
	return nil
}

// addOSRelease identifies the image as Debian (os-release(5)) if the packages lack base-files, which knows the version.
func (m *merger) addOSRelease() error {
	const debian = "PRETTY_NAME=\"Debian GNU/Linux\"\nNAME=\"Debian GNU/Linux\"\nID=debian\n"
	const etc, usr = "/etc/os-release", "/usr/lib/os-release"
	if _, ok := m.items[usr]; !ok {
		if _, ok := m.items[etc]; ok {
			return nil
		}
		m.items[usr] = item{Entry: layer.NewFile(usr, 0o644, []byte(debian))}
	}
	if _, ok := m.items[etc]; !ok {
		m.items[etc] = item{Entry: layer.Entry{Path: etc, Kind: layer.Symlink, Mode: 0o777, Link: "../usr/lib/os-release"}}
	}
	return nil
}

// content returns the content of a file.
func (m *merger) content(name string) ([]byte, error) {
	r, err := m.items[name].Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out, err := readAll(r, maxText)
	if err != nil {
		return nil, &InvalidPackageError{m.items[name].owner.String(), name, err.Error()}
	}
	return out, nil
}
