// Package filecap encodes Linux file capabilities: the text that setcap(8) takes becomes the value of the extended
// attribute security.capability.
package filecap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Attribute is the extended attribute that holds a file's capabilities.
const Attribute = "security.capability"

// Set is the capabilities of a file, one bit per capability.
type Set struct {
	Permitted, Inheritable, Effective uint64
	// RootID is the user that is root in the user namespace where the capabilities count; 0 means all namespaces.
	RootID uint32
}

// names are the capabilities of Linux, by their numbers: include/uapi/linux/capability.h.
var names = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
	"linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
	"sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
	"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
	"checkpoint_restore",
}

const (
	prefix = "cap_"
	all    = 1<<len(names) - 1
)

// SyntaxError is returned for text that grants no file capabilities.
type SyntaxError struct {
	Text, Why string
	hint      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid file capabilities %q: %s", e.Text, e.Why)
}

// Hint shows the form, or names the capability that was meant.
func (e *SyntaxError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return "write them as setcap does, such as cap_net_bind_service=+ep"
}

// Parse reads the textual form of libcap, cap_from_text(3): clauses such as cap_net_bind_service=+ep or
// cap_chown,cap_kill=p, separated by spaces, where a later clause modifies an earlier one. A root user id as getcap -n
// prints it, [rootid=1000], may follow. Text that grants nothing, or that the kernel would
// refuse for a file, is an error.
func Parse(text string) (Set, error) {
	var s Set
	fail := func(hint, format string, args ...any) (Set, error) {
		return Set{}, &SyntaxError{text, fmt.Sprintf(format, args...), hint}
	}
	clauses := strings.Fields(text)
	if n := len(clauses); n > 0 && strings.HasPrefix(clauses[n-1], "[rootid=") {
		id, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(clauses[n-1], "[rootid="), "]"), 10, 32)
		if err != nil || !strings.HasSuffix(clauses[n-1], "]") || id == 0 {
			return fail("", "%s is not a root user id such as [rootid=1000]", clauses[n-1])
		}
		s.RootID, clauses = uint32(id), clauses[:n-1]
	}
	for _, clause := range clauses {
		if err := s.apply(clause); err != nil {
			var unknown *unknownError
			if errors.As(err, &unknown) {
				return fail(unknown.hint(), "%v", err)
			}
			return fail("", "%v", err)
		}
	}
	switch granted := s.Permitted | s.Inheritable; {
	case granted == 0:
		return fail("", "it grants nothing: give at least one capability the flag p or i")
	case s.Effective != 0 && s.Effective != granted:
		return fail("", "a file has one effective flag for all its capabilities: give e to all of them or to none")
	}
	return s, nil
}

// apply carries out one clause: names, then operators with flags.
func (s *Set) apply(clause string) error {
	at := strings.IndexAny(clause, "=+-")
	if at < 0 {
		return fmt.Errorf("%q has no operator: one of = + -", clause)
	}
	of, err := numbers(clause[:at], clause[at])
	if err != nil {
		return err
	}
	for actions := clause[at:]; actions != ""; {
		op, end := actions[0], strings.IndexAny(actions[1:], "=+-")
		flags := actions[1:]
		if end >= 0 {
			flags = actions[1 : 1+end]
		}
		actions = actions[1+len(flags):]
		if flags == "" && op != '=' {
			return fmt.Errorf("%q has no flag behind %c: some of e, i and p", clause, op)
		}
		if op == '=' {
			s.Effective, s.Permitted, s.Inheritable = s.Effective&^of, s.Permitted&^of, s.Inheritable&^of
		}
		for _, flag := range flags {
			bits := map[rune]*uint64{'e': &s.Effective, 'p': &s.Permitted, 'i': &s.Inheritable}[flag]
			switch {
			case bits == nil:
				return fmt.Errorf("unknown flag %q in %q: there are e, i and p", flag, clause)
			case op == '-':
				*bits &^= of
			default:
				*bits |= of
			}
		}
	}
	return nil
}

// numbers returns the bits of a comma-separated list. An empty list means all capabilities in front of "=".
func numbers(list string, op byte) (uint64, error) {
	if list == "" && op == '=' {
		return all, nil
	}
	var bits uint64
	for name := range strings.SplitSeq(list, ",") {
		switch n := slices.Index(names[:], strings.TrimPrefix(strings.ToLower(name), prefix)); {
		case strings.EqualFold(name, "all"):
			bits |= all
		case n >= 0 && len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix):
			bits |= 1 << n
		default:
			n, err := strconv.ParseUint(name, 10, 6)
			if err != nil || n >= uint64(len(names)) {
				return 0, &unknownError{name}
			}
			bits |= 1 << n
		}
	}
	return bits, nil
}

type unknownError struct{ name string }

func (e *unknownError) Error() string { return fmt.Sprintf("unknown capability %q", e.name) }

func (e *unknownError) hint() string {
	word := strings.ToLower(strings.TrimPrefix(e.name, prefix))
	near := suggest.Of(word, names[:])
	for _, name := range names {
		if word != "" && strings.HasPrefix(name, word) {
			near = name
			break
		}
	}
	if near == "" {
		return "capabilities(7) lists them, such as cap_net_bind_service"
	}
	return fmt.Sprintf("did you mean %q?", prefix+near)
}

// The layout of the attribute: struct vfs_cap_data and vfs_ns_cap_data, include/uapi/linux/capability.h.
const (
	revision2 = 0x02000000
	revision3 = 0x03000000
	effective = 0x000001
)

// Encode returns the value of the attribute: revision 2 of the format, or 3 if there is a root user id.
func (s Set) Encode() []byte {
	magic := uint32(revision2)
	if s.RootID != 0 {
		magic = revision3
	}
	if s.Effective != 0 {
		magic |= effective
	}
	out := binary.LittleEndian.AppendUint32(nil, magic)
	for shift := 0; shift <= 32; shift += 32 {
		out = binary.LittleEndian.AppendUint32(out, uint32(s.Permitted>>shift))
		out = binary.LittleEndian.AppendUint32(out, uint32(s.Inheritable>>shift))
	}
	if s.RootID != 0 {
		out = binary.LittleEndian.AppendUint32(out, s.RootID)
	}
	return out
}
