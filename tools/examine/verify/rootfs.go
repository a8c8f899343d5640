package verify

import (
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// rootfs is the file system of an image: a stack of layers. Layers are not merged; each lookup goes through them from
// the top and needs no memory.
type rootfs struct {
	layers []imageLayer
	// windows file systems ignore the case of names.
	windows bool
	// partial is set if the files of a layer are not known, so that no file can be reported as missing.
	partial bool
	// lookups counts the lookups.
	lookups int
	cache   map[string]resolved
}

// imageLayer is a layer of an image and its location.
type imageLayer struct {
	*layerContents
	place location
	// redirects are directories into which this layer puts files without an entry for the directory, and which a lower
	// layer has as a symbolic link. A runtime that unpacks the layers follows the link.
	redirects []redirect
}

type redirect struct{ link, target string }

// resolved is the file that a path resolves to.
type resolved struct {
	entry
	path  string
	place location
	found bool
}

const (
	linkLimit = 40   // symbolic links that Linux follows
	stepLimit = 5000 // elements of a resolved path
	// lookupLimit bounds the lookups for an image. Each is one or a few map accesses.
	lookupLimit = 20_000_000
	// redirectLimit bounds the redirects of a layer. A merged /usr has six.
	redirectLimit = 32
)

// add puts layer i, counted from zero, on top.
func (r *rootfs) add(i int, d v1.Descriptor, c *layerContents) {
	if r.windows {
		c = c.foldNames()
	}
	r.layers = append(r.layers, imageLayer{layerContents: c, place: layerLocation(i, d)})
}

// foldNames returns c with lower-case names, an approximation of how Windows compares them. It shares the programs.
func (c *layerContents) foldNames() *layerContents {
	f := *c
	f.entries, f.whiteouts, f.opaque = fold(c.entries), fold(c.whiteouts), fold(c.opaque)
	f.plain = c.foldedPlain
	return &f
}

func fold[V any](m map[string]V) map[string]V {
	folded := make(map[string]V, len(m))
	for name, v := range m {
		folded[strings.ToLower(name)] = v
	}
	return folded
}

// findRedirects finds the redirects of all layers. It must be called after the last layer is added.
func (r *rootfs) findRedirects() {
	r.cache = map[string]resolved{}
	all := r.layers
	links := map[string]bool{}
	for i := range all {
		r.layers = all[:i]
		for link := range links {
			if !all[i].entries[link].implied || len(all[i].redirects) == redirectLimit {
				continue
			}
			if below := r.follow(link); below.found && below.kind == directory && below.path != link {
				all[i].redirects = append(all[i].redirects, redirect{link, below.path})
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

func (r *rootfs) overLimit() bool { return r.lookups > lookupLimit }

// resolve follows an absolute path and its symbolic links, as the kernel does in a container.
func (r *rootfs) resolve(name string) resolved {
	if r.windows {
		name = strings.ToLower(name)
	}
	if l, ok := r.cache[name]; ok {
		return l
	}
	l := r.follow(name)
	if len(r.cache) < 10_000 {
		r.cache[name] = l
	}
	return l
}

func (r *rootfs) follow(name string) resolved {
	if len(name) > pathLimit {
		return resolved{}
	}
	rest := strings.Split(name, "/")
	here := resolved{entry: entry{kind: directory}, path: "/", found: true}
	// floors are, for every directory of the path, the lowest layer whose files are visible in it.
	floors := []int{0}
	for hops, steps := 0, 0; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		if word == "" || word == "." {
			continue
		}
		if here.kind != directory {
			return resolved{}
		}
		if word == ".." {
			if here.path != "/" {
				floors = floors[:len(floors)-1]
			}
			here.path, here.entry = path.Dir(here.path), entry{kind: directory}
			continue
		}
		if steps++; steps > stepLimit || r.overLimit() {
			return resolved{}
		}
		next, floor := r.lookup(strings.TrimSuffix(here.path, "/")+"/"+word, floors[len(floors)-1])
		if !next.found {
			return resolved{}
		}
		if next.kind == symlink {
			if hops++; hops > linkLimit || len(next.target) > pathLimit {
				return resolved{}
			}
			target := next.target
			if r.windows {
				target = strings.ToLower(target)
			}
			if strings.HasPrefix(target, "/") {
				here, floors = resolved{entry: entry{kind: directory}, path: "/", found: true}, []int{0}
			}
			rest = append(strings.Split(target, "/"), rest...)
			continue
		}
		here = next
		floors = append(floors, floor)
	}
	return here
}

// lookup finds a path whose parent is resolved, in the layers from floor up. For a directory, it returns the floor of
// its files.
func (r *rootfs) lookup(name string, floor int) (resolved, int) {
	var best resolved
	for i := len(r.layers) - 1; i >= floor; i-- {
		r.lookups += 1 + len(name)/128 // long names take longer to look up
		l := &r.layers[i]
		e, ok := l.at(name)
		for _, d := range l.redirects {
			if ok {
				break
			}
			if below, under := strings.CutPrefix(name, d.target+"/"); under {
				e, ok = l.at(d.link + "/" + below)
			}
		}
		if ok && e.kind == hardlink {
			e = r.resolveHardLink(e.target, i)
			ok = e.kind != 0
		}
		switch {
		case ok && e.kind != directory:
			if best.found && e.kind != symlink {
				return best, i + 1 // a directory replaces the file
			}
			if best.found && !best.implied {
				return best, i + 1
			}
			return resolved{e, name, l.place, true}, i
		case ok && (!best.found || best.implied):
			best = resolved{e, name, l.place, true}
		}
		if l.whiteouts[name] || l.opaque[name] {
			return best, i
		}
	}
	return best, floor
}

// resolveHardLink finds the file of a lower layer that a hard link in layer i refers to.
func (r *rootfs) resolveHardLink(target string, i int) entry {
	if r.windows {
		target = strings.ToLower(target)
	}
	for j := i - 1; j >= 0; j-- {
		r.lookups++
		if e, ok := r.layers[j].at(target); ok && e.kind != directory && e.kind != hardlink {
			return e
		}
	}
	return entry{}
}
