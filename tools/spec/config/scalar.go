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

// Text is any scalar, taken as it is written: 50, "50" and '50' are the same text.
type Text string

// UnmarshalText takes everything.
func (t *Text) UnmarshalText(text []byte) error {
	*t = Text(text)
	return nil
}

// Name is the name of an environment variable.
type Name string

// UnmarshalText refuses what no environment can hold.
func (n *Name) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" || strings.ContainsAny(s, "=\x00") {
		return fmt.Errorf("%q is not the name of an environment variable", s)
	}
	*n = Name(s)
	return nil
}

// Port is a port in the form of the image config: number/protocol.
type Port string

var portPattern = lazy(`^([0-9]{1,5})(?:/(tcp|udp|sctp))?$`)

// UnmarshalText accepts 8080, 8080/tcp, 8080/udp and 8080/sctp; tcp is added where nothing is said.
func (p *Port) UnmarshalText(text []byte) error {
	m := portPattern().FindStringSubmatch(string(text))
	if m == nil {
		return hinted(fmt.Errorf("%q is not a port", text), "write a number and a protocol, such as 8080/tcp or 53/udp")
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

// Mode is a file's permission bits with setuid, setgid and sticky, as in chmod. The zero value means: not given.
type Mode uint32

// UnmarshalText reads octal digits, with or without a leading 0 or 0o.
func (m *Mode) UnmarshalText(text []byte) error {
	digits := strings.TrimPrefix(strings.TrimPrefix(string(text), "0o"), "0")
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || n == 0 || n > 0o7777 {
		return hinted(fmt.Errorf("%q is not a file mode", text), "write it in octal, between 0001 and 7777, such as 0644")
	}
	*m = Mode(n)
	return nil
}

// Owner is a numeric user and group.
type Owner struct{ UID, GID int }

// UnmarshalText reads uid or uid:gid; the group is the user's number where it is not given.
func (o *Owner) UnmarshalText(text []byte) error {
	uid, gid, both := strings.Cut(string(text), ":")
	if !both {
		gid = uid
	}
	u, errU := strconv.ParseUint(uid, 10, 31)
	g, errG := strconv.ParseUint(gid, 10, 31)
	if err := errors.Join(errU, errG); err != nil {
		return hinted(fmt.Errorf("%q is not an owner", text), "write numbers, uid or uid:gid, such as 65532:65532")
	}
	*o = Owner{int(u), int(g)}
	return nil
}

// Capabilities are file capabilities, in the form of setcap. The zero value means: none.
type Capabilities string

// UnmarshalText refuses what the kernel would refuse.
func (c *Capabilities) UnmarshalText(text []byte) error {
	if _, err := filecap.Parse(string(text)); err != nil {
		return err // it has a hint
	}
	*c = Capabilities(text)
	return nil
}

// Created is when an image says it was made.
type Created struct {
	// Commit asks for the time of the commit that is checked out.
	Commit bool
	// Time is a fixed time; where it is zero and Commit is false, the epoch.
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
			return hinted(fmt.Errorf("%q is not a creation time", s), "write epoch, commit, or a time such as 2026-01-31T12:00:00Z")
		}
		*c = Created{Time: t.UTC()}
	}
	return nil
}

// Compression is how layers are compressed.
type Compression string

// The compressions of layers. "" stands for Gzip.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// UnmarshalText accepts the names of the constants.
func (c *Compression) UnmarshalText(text []byte) error {
	switch got := Compression(text); got {
	case Gzip, Zstd:
		*c = got
		return nil
	default:
		return hinted(fmt.Errorf("unknown compression %q", text), suggest.Hint(string(text), []string{string(Gzip), string(Zstd)}))
	}
}

// hinted adds what to do next to an error about a value.
func hinted(err error, hint string) error { return hintError{err, hint} }

type hintError struct {
	error
	hint string
}

func (e hintError) Hint() string { return e.hint }

func (e hintError) Unwrap() error { return e.error }

// lazy is a pattern that is compiled when it is first asked for: the program that Bazel starts for every action needs none.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
