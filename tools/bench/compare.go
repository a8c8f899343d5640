package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// scenario is a change between two builds.
type scenario struct {
	name   string
	edited bool // one service was edited
	forget bool // all caches and outputs except the Go build cache were deleted
}

func scenarios() []scenario {
	return []scenario{
		{name: "nothing changed"},
		{name: "one service edited", edited: true},
		{name: "empty caches, warm Go build cache", forget: true},
	}
}

// compare measures multiarch and its peers in turn and prints a table.
func compare(ctx context.Context, w *workDir, s settings, stdout io.Writer) error {
	program, err := w.multiarch(ctx)
	if err != nil {
		return err
	}
	platforms, err := w.platforms(ctx, program, s.platforms)
	if err != nil {
		return err
	}
	t, err := newTree(w.path("src"), s.services, platforms)
	if err != nil {
		return err
	}
	peers, stop, err := contestants(ctx, w, s, program, t)
	if err != nil {
		return err
	}
	defer stop()
	referees := make([]referee, len(peers))
	for i, p := range peers {
		w.logf("building with %s for the first time", p.name)
		if _, err := p.run(ctx, w); err != nil {
			return err
		}
		if err := referees[i].check(p, t, scenario{edited: true}); err != nil {
			return err
		}
	}
	if err := sameWork(peers); err != nil {
		return err
	}
	results := table{header: []string{"scenario"}}
	for _, p := range peers {
		results.header = append(results.header, p.name)
	}
	results.header = append(results.header, "ko / multiarch", "ko with KOCACHE / multiarch", "multiarch / bare go build")
	for _, sc := range scenarios() {
		costs := make([][]cost, len(peers))
		for round := range s.rounds {
			w.logf("%s: round %d of %d", sc.name, round+1, s.rounds)
			if sc.edited {
				if err := t.edit(1, fmt.Sprintf("round %d", round+1)); err != nil {
					return fmt.Errorf("editing a service: %w", err)
				}
			}
			for i, p := range peers {
				if sc.forget {
					if err := p.forget(); err != nil {
						return err
					}
				}
				c, err := p.run(ctx, w)
				if err != nil {
					return err
				}
				if err := referees[i].check(p, t, sc); err != nil {
					return err
				}
				costs[i] = append(costs[i], c)
			}
		}
		results.scenario(sc.name, costs)
		w.logf("%s", strings.Join(results.rows[len(results.rows)-3], " | ")) // the table is printed minutes later
	}
	about, err := circumstances(ctx, w, s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(
		stdout,
		"%s\n%d HTTP services for %d platforms (%s); ko %s without SBOMs. "+
			"Everybody links with %s and gets the same programs.\n%s\n",
		results,
		s.services,
		len(s.platforms),
		strings.Join(s.platforms, ", "),
		s.ko,
		strings.Join(linkerFlags(), " "),
		about,
	)
	return err
}

// contestants prepares multiarch and its peers, each with a warm Go build cache. stop ends the servers that they need.
func contestants(
	ctx context.Context,
	w *workDir,
	s settings,
	program string,
	t *tree,
) (peers []*peer, stop func(), err error) {
	ko, err := w.ko(ctx, s.ko)
	if err != nil {
		return nil, nil, err
	}
	warm, err := w.warm(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	var caches []string
	for _, owner := range []string{"us", "bare", "ko", "ko-cached"} {
		cache, err := w.goCache(warm, owner)
		if err != nil {
			return nil, nil, err
		}
		caches = append(caches, cache)
	}
	base, stop, err := serveBase(t.platforms)
	if err != nil {
		return nil, nil, err
	}
	peers = []*peer{w.us(program, t, caches[0]), w.bare(t, caches[1])}
	for i, cached := range []bool{false, true} {
		p, err := w.koPeer(ko, t, caches[2+i], base, cached)
		if err != nil {
			stop()
			return nil, nil, err
		}
		peers = append(peers, p)
	}
	return peers, stop, nil
}
