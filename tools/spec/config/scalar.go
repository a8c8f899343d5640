package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/multiarch-build/multiarch/tools/oci/filecap"
	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Text is any scalar, taken literally: 50, "50" and '50' are equal.
type Text string

// UnmarshalText accepts any text.
func (t *Text) UnmarshalText(text []byte) error {
	*t = Text(text)
	return nil
}

// Name is the name of an environment variable.
type Name string

// UnmarshalText rejects names that no environment can hold.
func (n *Name) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" || strings.ContainsAny(s, "=\x00") {
		return fmt.Errorf("invalid environment variable name %q", s)
	}
	*n = Name(s)
	return nil
}

// Port is a port as in the image config: number/protocol.
type Port string

var portPattern = lazy(`^([0-9]{1,5})(?:/(tcp|udp|sctp))?$`)

// UnmarshalText accepts 8080, 8080/tcp, 8080/udp and 8080/sctp; the default protocol is tcp.
func (p *Port) UnmarshalText(text []byte) error {
	m := portPattern().FindStringSubmatch(string(text))
	if m == nil {
		return hinted(fmt.Errorf("invalid port %q", text), "write a number and a protocol, such as 8080/tcp or 53/udp")
	}
	if n, _ := strconv.Atoi(m[1]); n < 1 || n > 65535 {
		return fmt.Errorf("port %s is not between 1 and 65535", m[1])
	}
	protocol := m[2]
	if protocol == "" {
		protocol = "tcp"
	}
	*p = Port(m[1] + "/" + protocol)
	return nil
}

// Mode holds permission bits with setuid, setgid and sticky, as in chmod. The zero value means not
// set.
type Mode uint32

// UnmarshalText reads octal digits, with or without a leading 0 or 0o.
func (m *Mode) UnmarshalText(text []byte) error {
	digits := strings.TrimPrefix(strings.TrimPrefix(string(text), "0o"), "0")
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || n == 0 || n > 0o7777 {
		return hinted(fmt.Errorf("invalid file mode %q", text),
			"write an octal number between 0001 and 7777, such as 0644")
	}
	*m = Mode(n)
	return nil
}

// Owner is a numeric user and group.
type Owner struct{ UID, GID int }

// UnmarshalText parses uid or uid:gid; the default gid equals the uid.
func (o *Owner) UnmarshalText(text []byte) error {
	uid, gid, both := strings.Cut(string(text), ":")
	if !both {
		gid = uid
	}
	u, errU := strconv.ParseUint(uid, 10, 31)
	g, errG := strconv.ParseUint(gid, 10, 31)
	if err := errors.Join(errU, errG); err != nil {
		return hinted(fmt.Errorf("invalid owner %q", text), "write numbers, uid or uid:gid, such as 65532:65532")
	}
	*o = Owner{int(u), int(g)}
	return nil
}

// Capabilities are file capabilities in setcap notation. The zero value means none.
type Capabilities string

// UnmarshalText rejects capabilities that the kernel would reject.
func (c *Capabilities) UnmarshalText(text []byte) error {
	if _, err := filecap.Parse(string(text)); err != nil {
		return err // carries a hint
	}
	*c = Capabilities(text)
	return nil
}

// Created selects the creation time recorded in an image.
type Created struct {
	// Commit selects the time of the checked-out commit.
	Commit bool
	// Time is a fixed time. If it is zero and Commit is false, the epoch is used.
	Time time.Time
}

// UnmarshalText reads epoch, commit, or a time in RFC 3339.
func (c *Created) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "epoch":
		*c = Created{Time: time.Unix(0, 0).UTC()}
	case "commit":
		*c = Created{Commit: true}
	default:
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return hinted(fmt.Errorf("invalid creation time %q", s),
				"write epoch, commit, or a time such as 2026-01-31T12:00:00Z")
		}
		*c = Created{Time: t.UTC()}
	}
	return nil
}

// Compression is the compression of layers.
type Compression string

// Compressions of layers. "" means Gzip.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// UnmarshalText accepts gzip and zstd.
func (c *Compression) UnmarshalText(text []byte) error {
	switch got := Compression(text); got {
	case Gzip, Zstd:
		*c = got
		return nil
	default:
		return hinted(fmt.Errorf("unknown compression %q", text), suggest.Hint(string(text), []string{string(Gzip),
			string(Zstd)}))
	}
}

// hinted attaches a hint to an error.
func hinted(err error, hint string) error { return hintError{err, hint} }

type hintError struct {
	error
	hint string
}

func (e hintError) Hint() string { return e.hint }

func (e hintError) Unwrap() error { return e.error }

// lazy returns a pattern that is compiled on first use: the program that Bazel starts for every
// action uses none of them.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
