package main

import "fmt"

// referee checks that a peer does the work that is measured.
type referee struct{ last map[string]bool }

// check compares the outputs of a peer with its previous ones.
func (r *referee) check(p *peer, t *tree, sc scenario) error {
	now, err := p.outputs.digests()
	if err != nil {
		return fmt.Errorf("reading the outputs of %s: %w", p.name, err)
	}
	if want := t.services * len(t.platforms); len(now) != want {
		return fmt.Errorf(
			"%s built %d outputs for %d services and %d platforms",
			p.name,
			len(now),
			t.services,
			len(t.platforms),
		)
	}
	changed, want := 0, 0
	for d := range now {
		if !r.last[d] {
			changed++
		}
	}
	if sc.edited {
		want = len(t.platforms)
	}
	if r.last != nil && changed != want {
		return fmt.Errorf("%s, %s: expected %[4]d new outputs, got %[3]d", sc.name, p.name, changed, want)
	}
	r.last = now
	return nil
}
