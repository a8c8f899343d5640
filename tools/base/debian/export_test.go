package debian

import "time"

// Limited returns o with a limit on what a package unpacks to.
func Limited(o Options, bytes int64) Options {
	o.limit = bytes
	return o
}

// Impatient makes a wait that long for a mirror that is silent.
func Impatient(a *Archive, d time.Duration) { a.stall, a.pause = d, time.Millisecond }

// Hasty makes a wait that long before the second attempt.
func Hasty(a *Archive, d time.Duration) { a.pause = d }

// Stanzas reads the fields of all stanzas.
func Stanzas(data []byte) (out []map[string]string, err error) {
	err = stanzas(data, func(stanza []byte, _ int) error {
		found := map[string]string{}
		out = append(out, found)
		return fields(stanza, func(name, value []byte) { found[string(name)] = string(value) })
	})
	return out, err
}

// ParseIndex reads an index for an architecture.
func ParseIndex(suite, arch string, text []byte) (*Index, error) {
	x := newIndex(suite, arch)
	found, err := x.parse("an index", text, "")
	if err != nil {
		return nil, err
	}
	for _, c := range found {
		x.packages[c.Name] = append(x.packages[c.Name], c)
	}
	x.arrange()
	return x, nil
}

// HastyLocker makes l wait for a moment only before it tries again.
func HastyLocker(l *Locker) { l.pause = time.Millisecond }
