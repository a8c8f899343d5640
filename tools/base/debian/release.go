package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// The keys of the Debian archive, as the package debian-archive-keyring has them (2023.3+deb12u2: bullseye, bookworm,
// trixie). To renew it, install the newest of that package and run:
//
//go:generate cp /usr/share/keyrings/debian-archive-keyring.gpg keyring.gpg
//go:embed keyring.gpg
var keyring []byte

// maxRelease bounds an InRelease, which is read into memory. Debian's have 0.2 MB.
const maxRelease = 16 << 20

// Release is what a suite says of itself, signed.
type Release struct {
	Suite, Codename string
	Label           string
	Date            time.Time
	ValidUntil      time.Time // zero if it does not say
	SHA256          string    // of the signed file, in hexadecimal
	Architectures   []string
	Components      []string

	byHash bool
	files  map[string]file // by their path below the suite
}

// file is what a Release says about one file.
type file struct {
	size   int64
	sha256 string
}

// Release reads what the suite says of itself, and checks that one of the keys has signed it and that it is still valid.
// A key counts if it was valid when it signed. Errors are *SignatureError, *WrongSuiteError, *ExpiredError and
// *UnavailableError, or hold them.
func (a *Archive) Release(ctx context.Context) (*Release, error) {
	var out *Release
	err := a.each(ctx, "the Release of suite "+a.Suite, a.Mirrors, func(mirror string) error {
		raw, err := a.read(ctx, mirror, "dists/"+a.Suite+"/InRelease", nil, maxRelease)
		if err != nil {
			return err
		}
		signed, err := a.verify(raw)
		if err != nil {
			return err
		}
		read, err := parseRelease(signed)
		if err != nil {
			return err
		}
		if err := a.checkRelease(read, mirror); err != nil {
			return err
		}
		out = read
		sum := sha256.Sum256(raw)
		out.SHA256 = hex.EncodeToString(sum[:])
		return nil
	})
	var unavailable *UnavailableError
	if errors.As(err, &unavailable) {
		unavailable.Suite = a.Suite
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkRelease refuses another suite than the one asked for, and one that is too old: both are signed as well.
func (a *Archive) checkRelease(r *Release, mirror string) error {
	top, _, folder := strings.Cut(a.Suite, "/")
	wrong := top != r.Suite && top != r.Codename && a.Suite != r.Suite && a.Suite != r.Codename
	// buster/updates of the security archive has the codename buster, as the suite itself has.
	if wrong || folder && r.Label == "Debian" {
		return &WrongSuiteError{a.Suite, r.Suite + ", codename " + r.Codename}
	}
	now := time.Now
	if a.now != nil {
		now = a.now
	}
	if a.AnyDate || r.ValidUntil.IsZero() || !now().After(r.ValidUntil) || slices.Contains(a.Frozen, mirror) || snapshotTime.MatchString(mirror) {
		return nil
	}
	return &ExpiredError{a.Suite, r.Codename, r.ValidUntil}
}

// verify returns what is signed in a clear-signed file, and nothing of what may stand around it: RFC 9580, 7.
func (a *Archive) verify(raw []byte) ([]byte, error) {
	fail := func(keys []string, err error) error { return &SignatureError{a.Suite, keys, err} }
	keys, err := readKeys(a.Keyring)
	if err != nil {
		return nil, fmt.Errorf("reading the keyring of suite %s: %w", a.Suite, err)
	}
	block, _ := clearsign.Decode(raw)
	if block == nil {
		return nil, fail(nil, errors.New("it is not signed"))
	}
	var ids []string
	reason := errors.New("it holds no signature")
	for packets := packet.NewReader(block.ArmoredSignature.Body); ; {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return nil, fail(ids, reason)
		}
		if err != nil {
			return nil, fail(ids, fmt.Errorf("reading the signature: %w", err))
		}
		s, ok := p.(*packet.Signature)
		if !ok || s.IssuerKeyId == nil {
			continue
		}
		ids = append(ids, fmt.Sprintf("%016X", *s.IssuerKeyId))
		// One signature is enough, and Debian's suites carry several: each is tried by itself.
		var alone bytes.Buffer
		if err := s.Serialize(&alone); err != nil {
			reason = err
			continue
		}
		then := &packet.Config{Time: func() time.Time { return s.CreationTime }}
		if _, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), &alone, then); err != nil {
			reason = err
			continue
		}
		return block.Plaintext, nil
	}
}

// readKeys reads OpenPGP public keys, armored or not. None are those of the Debian archive.
func readKeys(raw []byte) (openpgp.EntityList, error) {
	if len(raw) == 0 {
		raw = keyring
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		return openpgp.ReadArmoredKeyRing(bytes.NewReader(raw))
	}
	return openpgp.ReadKeyRing(bytes.NewReader(raw))
}

// parseRelease reads a Release file: https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files
func parseRelease(text []byte) (*Release, error) {
	out := &Release{files: map[string]file{}}
	bad := func(format string, args ...any) error {
		return &formatError{what: "the Release", err: fmt.Sprintf(format, args...)}
	}
	var problem error
	err := fields(bytes.TrimSpace(text), func(name, value []byte) {
		text := string(value)
		switch strings.ToLower(string(name)) {
		case "suite":
			out.Suite = text
		case "codename":
			out.Codename = text
		case "label":
			out.Label = text
		case "date", "valid-until":
			at, err := time.Parse(time.RFC1123, text)
			if err != nil {
				problem = bad("not a date: %s", text)
			}
			if strings.EqualFold(string(name), "date") {
				out.Date = at.UTC()
			} else {
				out.ValidUntil = at.UTC()
			}
		case "architectures":
			for arch := range strings.FieldsSeq(text) {
				if arch != "all" {
					out.Architectures = append(out.Architectures, arch)
				}
			}
		case "components":
			out.Components = strings.Fields(text)
		case "acquire-by-hash":
			out.byHash = text == "yes"
		case "sha256":
			for line := range strings.Lines(text) {
				f := strings.Fields(line)
				if len(f) != 3 {
					problem = bad("not a digest, a size and a path: %s", line)
					return
				}
				size, err := strconv.ParseInt(f[1], 10, 64)
				if err != nil || size < 0 || !isSHA256(f[0]) {
					problem = bad("not a digest and a size: %s", line)
					return
				}
				out.files[f[2]] = file{size, f[0]}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, problem
}

// isSHA256 tells whether s is a digest in lower-case hexadecimal, which can be part of a path.
func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
