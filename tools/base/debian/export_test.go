package debian

import "time"

// WithLimit returns o with a limit for the unpacked size of a package.
func WithLimit(o Options, bytes int64) Options {
	o.limit = bytes
	return o
}

// SetPause sets how long a waits before the second attempt.
func SetPause(a *Archive, d time.Duration) { a.pause = d }

// Stanzas returns the fields of all stanzas.
func Stanzas(data []byte) (out []map[string]string, err error) {
	err = stanzas(data, func(stanza []byte, _ int) error {
		found := map[string]string{}
		out = append(out, found)
		return fields(stanza, func(name, value []byte) { found[string(name)] = string(value) })
	})
	return out, err
}

// ParseIndex parses an index for an architecture.
func ParseIndex(suite, arch string, text []byte) (*Index, error) {
	x := newIndex(suite, arch)
	found, err := x.parse("index", text, "")
	if err != nil {
		return nil, err
	}
	for _, c := range found {
		x.packages[c.Name] = append(x.packages[c.Name], c)
	}
	x.selectVersions()
	return x, nil
}

// DisableLockerPause shortens the pauses before retries.
func DisableLockerPause(l *Locker) { l.pause = time.Millisecond }
