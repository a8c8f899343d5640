package lock

import (
	"bytes"
	"encoding/json"
	"strings"
)

// indent writes the next value of d; flat is the complete compact text. Objects and lists without
// nested ones, such as a package or a layer, take one line each.
func indent(out *bytes.Buffer, d *json.Decoder, flat []byte, margin string) error {
	start := d.InputOffset()
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	if !nested {
		text := bytes.TrimLeft(flat[start:d.InputOffset()], ",:")
		out.Write(text)
		return nil
	}
	begin := d.InputOffset() - 1
	if end, leaf := leafEnd(flat[begin:]); leaf {
		for d.InputOffset() < begin+int64(end) {
			if _, err := d.Token(); err != nil {
				return err
			}
		}
		return spaced(out, flat[begin:begin+int64(end)])
	}
	out.WriteString(open.String())
	inner := margin + "  "
	for first := true; d.More(); first = false {
		if !first {
			out.WriteByte(',')
		}
		out.WriteString("\n" + inner)
		if open == '{' {
			if err := indent(out, d, flat, inner); err != nil { // key
				return err
			}
			out.WriteString(": ")
		}
		if err := indent(out, d, flat, inner); err != nil {
			return err
		}
	}
	out.WriteString("\n" + margin)
	token, err = d.Token()
	if err == nil {
		out.WriteString(token.(json.Delim).String())
	}
	return err
}

// leafEnd reports whether the object or list at the start of text has no nested one, and where it
// ends.
func leafEnd(text []byte) (int, bool) {
	quoted := false
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			return 0, false
		case c == '}' || c == ']':
			return i + 1, true
		}
	}
	return 0, false
}

// spaced writes a compact leaf with a space after commas and colons.
func spaced(out *bytes.Buffer, leaf []byte) error {
	var wide bytes.Buffer
	if err := json.Indent(&wide, leaf, "", ""); err != nil {
		return err
	}
	text := strings.NewReplacer(",\n", ", ", "\n", "").Replace(wide.String())
	out.WriteString(text)
	return nil
}
