package debian

import (
	"bytes"
	"fmt"
	"strings"
)

// stanzas calls yield with each stanza of a control file (Debian Policy, section 5.1) and the number of its first line.
//
// An index has 50 MB and 70,000 stanzas, of which only a few fields are needed. Parsers that build a map of all fields
// take ten times as long.
func stanzas(data []byte, yield func(stanza []byte, line int) error) error {
	line, start, from := 1, 0, 1
	flush := func(end int) error {
		if len(bytes.TrimSpace(data[start:end])) == 0 {
			return nil
		}
		return yield(data[start:end], from)
	}
	for at := 0; at < len(data); line++ {
		end := bytes.IndexByte(data[at:], '\n')
		next := at + end + 1
		if end < 0 {
			next = len(data)
		}
		// dpkg and apt also accept a line of blanks as a separator.
		first := data[at]
		blank := first == ' ' || first == '\t' || first == '\r'
		if first == '\n' || blank && len(bytes.TrimSpace(data[at:next])) == 0 {
			if err := flush(at); err != nil {
				return err
			}
			start, from = next, line+1
		}
		at = next
	}
	return flush(len(data))
}

// fields calls yield with each field of a stanza. It keeps the case of names. Values are trimmed, but keep the line
// ends between their lines.
func fields(stanza []byte, yield func(name, value []byte)) error {
	line := 0
	for len(stanza) > 0 {
		line++
		end := lineEnd(stanza)
		// Indented lines continue the field.
		for end < len(stanza) && (stanza[end] == ' ' || stanza[end] == '\t') {
			end += lineEnd(stanza[end:])
		}
		field := stanza[:end]
		stanza = stanza[end:]
		if field[0] == '#' {
			continue
		}
		name, value, found := bytes.Cut(field, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t\r\n") {
			return &formatError{what: "stanza", line: line, err: fmt.Sprintf("invalid field %q", excerpt(field))}
		}
		yield(name, bytes.TrimSpace(value))
		line += bytes.Count(field, []byte("\n")) - 1
	}
	return nil
}

func lineEnd(b []byte) int {
	if end := bytes.IndexByte(b, '\n'); end >= 0 {
		return end + 1
	}
	return len(b)
}

// excerpt returns the start of b for an error.
func excerpt(b []byte) string {
	return strings.TrimSpace(strings.ToValidUTF8(string(b[:min(len(b), 60)]), "?"))
}
