package main

import "fmt"

// referee sees to it that a peer does the work that is measured.
type referee struct{ last map[string]bool }

// check compares what a peer has made with what it had made before.
func (r *referee) check(p *peer, t *tree, sc scenario) error {
	now, err := p.outputs.digests()
	if err != nil {
		return fmt.Errorf("reading what %s made: %w", p.name, err)
	}
	if want := t.services * len(t.platforms); len(now) != want {
		return fmt.Errorf("%s made %d different things of %d services for %d platforms", p.name, len(now), t.services, len(t.platforms))
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
		return fmt.Errorf("%s, %s: %d outputs are new, not %d", sc.name, p.name, changed, want)
	}
	r.last = now
	return nil
}
