package push

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/content"
)

// consignment is a blob and all repositories of one registry that need it.
type consignment struct {
	content.Blob
	to      []*destination
	sources []name.Repository // other repositories that have it
}

// destination is a repository that a blob goes to.
type destination struct {
	repo name.Repository
	size int64
	// there is that the repository has it: a manifest that consists of it, among others, or the blob itself, of which
	// missing is that the repository says for certain that it lacks it.
	there, missing bool
	// owners are the targets, by the number of the first of their name, that need it there.
	owners []int
	// sent is how many bytes of it count as complete; reader is the upload that may change that.
	sent   int64
	reader *countedReader
	// uploaded is that it has been sent, and not mounted.
	uploaded bool
}

// consignments gathers the blobs of all deliveries, the largest first so that none is left over for the end, and
// prepares to report on them.
func consignments(all []delivery, targets []Target, report func(string, int64, int64)) ([]*consignment, *meter) {
	type key struct {
		registry string
		digest   v1.Hash
	}
	// Targets of the same name, an image in several repositories, are reported on together.
	group := make([]int, len(targets))
	for i, t := range targets {
		group[i] = slices.IndexFunc(targets, func(o Target) bool { return o.Name == t.Name })
	}
	found := map[key]*consignment{}
	var list []*consignment
	for _, d := range all {
		has := d.stands()
		for _, b := range d.content.Blobs {
			k := key{d.repo.RegistryStr(), b.Digest}
			if found[k] == nil {
				found[k] = &consignment{Blob: b}
				list = append(list, found[k])
			}
			found[k].deliver(d, group[d.owner], has[b.Digest])
			if from, ok := targets[d.owner].Sources[b.Digest]; ok {
				found[k].sources = append(found[k].sources, from)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *consignment) int { return cmp.Compare(b.Size, a.Size) })
	m := &meter{report: report, names: make([]string, len(targets)), complete: make([]int64, len(targets)), total: make([]int64, len(targets))}
	for i, t := range targets {
		m.names[i] = t.Name
	}
	for _, c := range list {
		for _, to := range c.to {
			for _, o := range to.owners {
				m.total[o] += to.size
			}
		}
	}
	return list, m
}

// stands are the blobs that the repository of d has for certain: those of manifests that it has. A registry takes no
// manifest without its blobs, and keeps blobs for as long as a manifest needs them.
func (d delivery) stands() map[v1.Hash]bool {
	has := map[v1.Hash]bool{}
	for _, r := range d.records {
		if r.there {
			for _, h := range r.Blobs {
				has[h] = true
			}
		}
	}
	return has
}

// deliver adds the repository of d, which may have the blob, for a target.
func (c *consignment) deliver(d delivery, owner int, there bool) {
	i := slices.IndexFunc(c.to, func(to *destination) bool { return to.repo == d.repo })
	if i < 0 {
		i = len(c.to)
		c.to = append(c.to, &destination{repo: d.repo, size: c.Size})
	}
	c.to[i].there = c.to[i].there || there
	if !slices.Contains(c.to[i].owners, owner) {
		c.to[i].owners = append(c.to[i].owners, owner)
	}
}

// meter counts the bytes of each target.
type meter struct {
	report func(target string, complete, total int64) // nil for nobody

	mu              sync.Mutex
	names           []string
	complete, total []int64
}

// set makes n the bytes of to that are complete. m.mu is held.
func (m *meter) set(to *destination, n int64) {
	change := n - to.sent
	to.sent = n
	for _, o := range to.owners {
		m.complete[o] += change
		if m.report != nil && change != 0 {
			m.report(m.names[o], m.complete[o], m.total[o])
		}
	}
}

// finish counts the whole blob as complete, also where it was there already or was mounted: then nobody has read it.
func (m *meter) finish(to *destination) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to.uploaded = to.reader != nil
	to.reader = nil
	m.set(to, to.size)
}

// countedLayer is a layer whose reading counts as progress.
type countedLayer struct {
	v1.Layer
	m  *meter
	to *destination
	// source is the registry that it may be read from, "" for none.
	source string
}

// Compressed begins an upload, or begins it again.
func (l *countedLayer) Compressed() (io.ReadCloser, error) {
	rc, err := l.Layer.Compressed()
	if err != nil {
		return nil, located(l.source, mayRead, err)
	}
	r := &countedReader{ReadCloser: rc, l: l}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.to.reader = r
	l.m.set(l.to, 0)
	return r, nil
}

type countedReader struct {
	io.ReadCloser
	l      *countedLayer
	closed bool
}

// errSentBefore is for go-containerregistry, which sends a request once more when a token has run out, but with the
// body that it has sent already. It is an error after which the upload is begun again.
var errSentBefore = fmt.Errorf("the content has been sent before: %w", io.ErrUnexpectedEOF)

func (r *countedReader) Read(p []byte) (int, error) {
	if r.isClosed() {
		return 0, errSentBefore
	}
	n, err := r.ReadCloser.Read(p)
	m, to := r.l.m, r.l.to
	m.mu.Lock()
	defer m.mu.Unlock()
	// The transport may still be reading for an attempt that has been given up.
	if to.reader == r {
		m.set(to, to.sent+int64(n))
	}
	return n, err
}

func (r *countedReader) isClosed() bool {
	r.l.m.mu.Lock()
	defer r.l.m.mu.Unlock()
	return r.closed
}

func (r *countedReader) Close() error {
	r.l.m.mu.Lock()
	r.closed = true
	r.l.m.mu.Unlock()
	return r.ReadCloser.Close()
}
