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

// keyring contains the keys of the Debian archive from the package debian-archive-keyring (2023.3+deb12u2: bullseye,
// bookworm, trixie). To update it, install the latest version of that package and run go generate.
//
//go:generate cp /usr/share/keyrings/debian-archive-keyring.gpg keyring.gpg
//go:embed keyring.gpg
var keyring []byte

// maxRelease limits the size of an InRelease file, which is read into memory. Debian's have 0.2 MB.
const maxRelease = 16 << 20

// Release is the signed description of a suite.
type Release struct {
	Suite, Codename string
	Label           string
	Date            time.Time
	ValidUntil      time.Time // zero if not declared
	SHA256          string    // of the signed file, in hexadecimal
	Architectures   []string
	Components      []string

	byHash bool
	files  map[string]fileInfo // by path below the suite
}

// fileInfo is the entry of a file in a Release file.
type fileInfo struct {
	size   int64
	sha256 string
}

// Release reads the Release file of the suite. It verifies that a key of the keyring has signed the file and that the
// file has not expired. The key must have been valid at the time of the signature. Errors are or wrap *SignatureError,
// *WrongSuiteError, *ExpiredError and *UnavailableError.
func (a *Archive) Release(ctx context.Context) (*Release, error) {
	var out *Release
	err := a.tryMirrors(ctx, "the Release file of suite "+a.Suite, a.Mirrors, func(mirror string) error {
		raw, err := a.readFile(ctx, mirror, "dists/"+a.Suite+"/InRelease", nil, maxRelease)
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

// checkRelease rejects the Release file of another suite and an expired one. Both have valid signatures, too.
func (a *Archive) checkRelease(r *Release, mirror string) error {
	top, _, subdirectory := strings.Cut(a.Suite, "/")
	wrong := top != r.Suite && top != r.Codename && a.Suite != r.Suite && a.Suite != r.Codename
	// buster/updates in the security archive has the same codename as buster itself.
	if wrong || subdirectory && r.Label == "Debian" {
		return &WrongSuiteError{a.Suite, r.Suite + ", codename " + r.Codename}
	}
	now := time.Now
	if a.now != nil {
		now = a.now
	}
	if r.ValidUntil.IsZero() || !now().After(r.ValidUntil) {
		return nil
	}
	if a.IgnoreValidUntil || slices.Contains(a.Frozen, mirror) || snapshotTime.MatchString(mirror) {
		return nil
	}
	return &ExpiredError{a.Suite, r.Codename, r.ValidUntil}
}

// verify verifies a clear-signed file (RFC 9580, section 7) and returns the signed text, without any text around it.
func (a *Archive) verify(raw []byte) ([]byte, error) {
	fail := func(keys []string, err error) error { return &SignatureError{a.Suite, keys, err} }
	keys, err := readKeys(a.Keyring)
	if err != nil {
		return nil, fmt.Errorf("reading the keyring of suite %s: %w", a.Suite, err)
	}
	block, _ := clearsign.Decode(raw)
	if block == nil {
		return nil, fail(nil, errors.New("the file is not signed"))
	}
	var ids []string
	reason := errors.New("the file contains no signature")
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
		// Debian's suites have several signatures. Each is verified separately, because one valid signature is enough.
		var signature bytes.Buffer
		if err := s.Serialize(&signature); err != nil {
			reason = err
			continue
		}
		atSigning := &packet.Config{Time: func() time.Time { return s.CreationTime }}
		signed := bytes.NewReader(block.Bytes)
		if _, err := openpgp.CheckDetachedSignature(keys, signed, &signature, atSigning); err != nil {
			reason = err
			continue
		}
		return block.Plaintext, nil
	}
}

// readKeys parses OpenPGP public keys, armored or binary (default: the keys of the Debian archive).
func readKeys(raw []byte) (openpgp.EntityList, error) {
	if len(raw) == 0 {
		raw = keyring
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		return openpgp.ReadArmoredKeyRing(bytes.NewReader(raw))
	}
	return openpgp.ReadKeyRing(bytes.NewReader(raw))
}

// parseRelease parses a Release file: https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files
func parseRelease(text []byte) (*Release, error) {
	out := &Release{files: map[string]fileInfo{}}
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
				problem = releaseError("invalid date %q", text)
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
			if err := parseChecksums(text, out.files); err != nil {
				problem = err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, problem
}

// parseChecksums parses the SHA256 field of a Release file, and adds its entries to files by path.
func parseChecksums(text string, files map[string]fileInfo) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		if len(f) != 3 {
			return releaseError("expected digest, size and path, got %q", line)
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || size < 0 || !isSHA256(f[0]) {
			return releaseError("invalid digest or size: %q", line)
		}
		files[f[2]] = fileInfo{size, f[0]}
	}
	return nil
}

func releaseError(format string, args ...any) error {
	return &formatError{what: "the Release file", err: fmt.Sprintf(format, args...)}
}

// isSHA256 reports whether s is a digest in lower-case hexadecimal, which is safe as part of a path.
func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
