package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// Environment variables that select the sources of Debian packages. Lists are separated by spaces.
const (
	mirrorEnv   = "MULTIARCH_DEBIAN_MIRROR"
	securityEnv = "MULTIARCH_DEBIAN_SECURITY_MIRROR"
	snapshotEnv = "MULTIARCH_DEBIAN_SNAPSHOT"
	keyringEnv  = "MULTIARCH_DEBIAN_KEYRING"
)

// mirrors returns the sources of Debian packages on this machine.
func mirrors() (debian.Mirrors, error) {
	keyring, err := readKeyring(os.Getenv(keyringEnv))
	if err != nil {
		return debian.Mirrors{}, err
	}
	m, err := debian.Sources("/", keyring)
	if err != nil {
		return m, err
	}
	m = m.With(strings.Fields(os.Getenv(mirrorEnv)), strings.Fields(os.Getenv(securityEnv)))
	snapshot, given := os.LookupEnv(snapshotEnv)
	if given || len(keyring) > 0 {
		m.Snapshot = snapshot // an empty one is not used
	}
	return m, nil
}

func readKeyring(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	content, err := inputfile.ReadFile(file)
	if err == nil && len(content) == 0 {
		err = fmt.Errorf("%s is empty", file)
	}
	if err != nil {
		return nil, usagef("set keyring: of the base, or "+keyringEnv+", to a file with OpenPGP public keys",
			"reading the keyring: %w", err)
	}
	return content, nil
}

// lockPackages resolves the packages of a base. top is the root of the tree.
func lockPackages(ctx context.Context, w lock.Requirement, top string, p *tracker) (*lock.Debian, error) {
	m, err := mirrors()
	if err != nil {
		return nil, err
	}
	file := w.Base.Debian.Keyring
	if file != "" && !filepath.IsAbs(file) {
		file = filepath.Join(top, file)
	}
	keyring, err := readKeyring(cmp.Or(file, os.Getenv(keyringEnv)))
	if err != nil {
		return nil, err
	}
	download := p.transfer(string(build.Download))
	l := debian.Locker{
		Mirrors: m, Keyring: keyring,
		Notify:   func(message string) { p.note(w.Name + ": " + message) },
		Progress: func(architecture string, done, total int64) { download(architecture+" "+w.Name, done, total) },
	}
	return l.Lock(ctx, w)
}

// noteWithoutSecurity reports bases that an earlier version of multiarch locked without security updates.
func (a *app) noteWithoutSecurity(p *project) {
	noted := map[string]bool{}
	for _, i := range p.plan.Images {
		for _, c := range i.Children {
			name := c.Base.Name
			if d := c.Base.Debian; d == nil || noted[name] || d.Locked.Security != nil ||
				p.config.Bases[name].Debian.Security.Off {
				continue
			}
			noted[name] = true
			a.terminal.note("bases.%s: locked without the security updates of its suite; run: multiarch lock", name)
		}
	}
}
