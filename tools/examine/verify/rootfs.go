package verify

import (
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// rootfs is the file system of an image: its layers, one over the other. Nothing is merged; each look-up goes through
// the layers from the top, so it costs no memory of its own.
type rootfs struct {
	layers []stacked
	// windows file names differ in more than case.
	windows bool
	// partial is set where the files of a layer are not known, so that nothing can be said to be missing.
	partial bool
	// steps counts the look-ups.
	steps int
	known map[string]located
}

// stacked is a layer at its place in an image.
type stacked struct {
	*contents
	place place
	// through are directories that a lower layer has as a symbolic link, and that this layer puts files into without
	// saying that they are directories. A runtime that unpacks one layer over the other follows the link.
	through []detour
}

type detour struct{ link, target string }

// located is where a path leads to.
type located struct {
	entry
	path  string
	place place
	found bool
}

const (
	linkLimit = 40   // Linux follows as many
	stepLimit = 5000 // names on the way of a single path
	// totalLimit is the look-ups for an image. Each is a map access or a few.
	totalLimit = 20_000_000
	// detourLimit is how many detours a layer may have. Those of a merged /usr are six.
	detourLimit = 32
)

// add puts layer i, counted from zero, on top.
func (r *rootfs) add(i int, d v1.Descriptor, c *contents) {
	if r.windows {
		c = c.folded()
	}
	r.layers = append(r.layers, stacked{contents: c, place: at(i, d)})
}

// folded is c with the names as Windows compares them, near enough. Its programs are those of c.
func (c *contents) folded() *contents {
	f := *c
	f.entries, f.gone, f.opaque = fold(c.entries), fold(c.gone), fold(c.opaque)
	f.plain = c.folding
	return &f
}

func fold[V any](m map[string]V) map[string]V {
	folded := make(map[string]V, len(m))
	for name, v := range m {
		folded[strings.ToLower(name)] = v
	}
	return folded
}

// settle is called when all layers are there.
func (r *rootfs) settle() {
	r.known = map[string]located{}
	all := r.layers
	links := map[string]bool{}
	for i := range all {
		r.layers = all[:i]
		for link := range links {
			if !all[i].entries[link].implied || len(all[i].through) == detourLimit {
				continue
			}
			if below := r.follow(link); below.found && below.kind == directory && below.path != link {
				all[i].through = append(all[i].through, detour{link, below.path})
			}
		}
		for name, e := range all[i].entries {
			if e.kind == symlink {
				links[name] = true
			}
		}
	}
	r.layers = all
}

func (r *rootfs) exhausted() bool { return r.steps > totalLimit }

// resolve follows an absolute path through all symbolic links, as the kernel does in a container.
func (r *rootfs) resolve(name string) located {
	if r.windows {
		name = strings.ToLower(name)
	}
	if l, ok := r.known[name]; ok {
		return l
	}
	l := r.follow(name)
	if len(r.known) < 10_000 {
		r.known[name] = l
	}
	return l
}

func (r *rootfs) follow(name string) located {
	if len(name) > pathLimit {
		return located{}
	}
	rest := strings.Split(name, "/")
	here := located{entry: entry{kind: directory}, path: "/", found: true}
	// floors are, for every directory on the way, the lowest layer whose files are seen there.
	floors := []int{0}
	for hops, steps := 0, 0; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		if word == "" || word == "." {
			continue
		}
		if here.kind != directory {
			return located{}
		}
		if word == ".." {
			if here.path != "/" {
				floors = floors[:len(floors)-1]
			}
			here.path, here.entry = path.Dir(here.path), entry{kind: directory}
			continue
		}
		if steps++; steps > stepLimit || r.exhausted() {
			return located{}
		}
		next, floor := r.lookup(strings.TrimSuffix(here.path, "/")+"/"+word, floors[len(floors)-1])
		if !next.found {
			return located{}
		}
		if next.kind == symlink {
			if hops++; hops > linkLimit || len(next.target) > pathLimit {
				return located{}
			}
			target := next.target
			if r.windows {
				target = strings.ToLower(target)
			}
			if strings.HasPrefix(target, "/") {
				here, floors = located{entry: entry{kind: directory}, path: "/", found: true}, []int{0}
			}
			rest = append(strings.Split(target, "/"), rest...)
			continue
		}
		here = next
		floors = append(floors, floor)
	}
	return here
}

// lookup finds a path whose parent has been resolved, in the layers from floor up. The floor it returns is the one of
// a directory that it has found.
func (r *rootfs) lookup(name string, floor int) (located, int) {
	var best located
	for i := len(r.layers) - 1; i >= floor; i-- {
		r.steps += 1 + len(name)/128 // long names take longer to look up
		l := &r.layers[i]
		e, ok := l.at(name)
		for _, d := range l.through {
			if ok {
				break
			}
			if below, under := strings.CutPrefix(name, d.target+"/"); under {
				e, ok = l.at(d.link + "/" + below)
			}
		}
		if ok && e.kind == hardlink {
			e = r.linked(e.target, i)
			ok = e.kind != 0
		}
		switch {
		case ok && e.kind != directory:
			if best.found && e.kind != symlink {
				return best, i + 1 // a directory has taken the file's place
			}
			if best.found && !best.implied {
				return best, i + 1
			}
			return located{e, name, l.place, true}, i
		case ok && (!best.found || best.implied):
			best = located{e, name, l.place, true}
		}
		if l.gone[name] || l.opaque[name] {
			return best, i
		}
	}
	return best, floor
}

// linked finds the file of a lower layer that a hard link in layer i is for.
func (r *rootfs) linked(target string, i int) entry {
	if r.windows {
		target = strings.ToLower(target)
	}
	for j := i - 1; j >= 0; j-- {
		r.steps++
		if e, ok := r.layers[j].at(target); ok && e.kind != directory && e.kind != hardlink {
			return e
		}
	}
	return entry{}
}
