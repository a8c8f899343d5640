package debian

import (
	"bytes"
	"strings"
)

// stanzas calls each with the stanzas of a file in the syntax of Debian Policy, 5.1, in their order. The bytes that each
// is given hold one stanza whole; line is where it starts, counted from 1.
//
// An index has 50 MB and 70,000 stanzas, of which a handful of fields are needed. Parsers that make a map of all fields
// take ten times as long.
func stanzas(data []byte, each func(stanza []byte, line int) error) error {
	line, start, from := 1, 0, 1
	flush := func(end int) error {
		if len(bytes.TrimSpace(data[start:end])) == 0 {
			return nil
		}
		return each(data[start:end], from)
	}
	for at := 0; at < len(data); line++ {
		end := bytes.IndexByte(data[at:], '\n')
		next := at + end + 1
		if end < 0 {
			next = len(data)
		}
		// A line of spaces separates, too: dpkg and apt take it so.
		if first := data[at]; first == '\n' || (first == ' ' || first == '\t' || first == '\r') && len(bytes.TrimSpace(data[at:next])) == 0 {
			if err := flush(at); err != nil {
				return err
			}
			start, from = next, line+1
		}
		at = next
	}
	return flush(len(data))
}

// fields calls each with the fields of a stanza. Names are as they are written. A value that goes on over several lines
// keeps its line ends; blanks around it are cut off.
func fields(stanza []byte, each func(name, value []byte)) error {
	line := 0
	for len(stanza) > 0 {
		line++
		end := lineEnd(stanza)
		// What is indented belongs to the field before.
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
			return &formatError{what: "a stanza", line: line, err: "not a field: " + excerpt(field)}
		}
		each(name, bytes.TrimSpace(value))
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

// excerpt is the start of something for a message.
func excerpt(b []byte) string {
	return strings.TrimSpace(strings.ToValidUTF8(string(b[:min(len(b), 60)]), "?"))
}
