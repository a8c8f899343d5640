package push

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// collectBlobs collects the blobs of all images, the largest first so that none delays the end, and a meter of their
// progress.
func collectBlobs(
	images []imageUpload, targets []Target, report func(string, int64, int64),
) ([]*blobUpload, *progressMeter) {
	type key struct {
		registry string
		digest   v1.Hash
	}
	// Targets of the same name, an image in several repositories, are reported together.
	group := make([]int, len(targets))
	for i, t := range targets {
		group[i] = slices.IndexFunc(targets, func(o Target) bool { return o.Name == t.Name })
	}
	found := map[key]*blobUpload{}
	var list []*blobUpload
	for _, u := range images {
		present := u.presentBlobs()
		for _, b := range u.graph.Blobs {
			k := key{u.repo.RegistryStr(), b.Digest}
			if found[k] == nil {
				found[k] = &blobUpload{Blob: b}
				list = append(list, found[k])
			}
			found[k].addDestination(u, group[u.target], present[b.Digest])
			if from, ok := targets[u.target].Sources[b.Digest]; ok {
				found[k].sources = append(found[k].sources, from)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *blobUpload) int { return cmp.Compare(b.Size, a.Size) })
	m := &progressMeter{
		report: report, names: make([]string, len(targets)),
		complete: make([]int64, len(targets)), total: make([]int64, len(targets)),
	}
	for i, t := range targets {
		m.names[i] = t.Name
	}
	for _, b := range list {
		for _, to := range b.destinations {
			for _, t := range to.targets {
				m.total[t] += to.size
			}
		}
	}
	return list, m
}

// presentBlobs returns the blobs of manifests that the repository has. A registry accepts no manifest without its
// blobs, and keeps them as long as the manifest exists.
func (u imageUpload) presentBlobs() map[v1.Hash]bool {
	present := map[v1.Hash]bool{}
	for _, m := range u.manifests {
		if m.present {
			for _, h := range m.Blobs {
				present[h] = true
			}
		}
	}
	return present
}

// addDestination adds the repository of u for a target.
func (b *blobUpload) addDestination(u imageUpload, target int, present bool) {
	i := slices.IndexFunc(b.destinations, func(to *destination) bool { return to.repo == u.repo })
	if i < 0 {
		i = len(b.destinations)
		b.destinations = append(b.destinations, &destination{repo: u.repo, size: b.Size})
	}
	to := b.destinations[i]
	to.present = to.present || present
	if !slices.Contains(to.targets, target) {
		to.targets = append(to.targets, target)
	}
}

// progressMeter counts the bytes of each target.
type progressMeter struct {
	report func(target string, complete, total int64) // may be nil

	mu              sync.Mutex
	names           []string
	complete, total []int64
}

// set makes n the number of complete bytes of a destination. m.mu is held.
func (m *progressMeter) set(to *destination, n int64) {
	change := n - to.counted
	to.counted = n
	for _, t := range to.targets {
		m.complete[t] += change
		if m.report != nil && change != 0 {
			m.report(m.names[t], m.complete[t], m.total[t])
		}
	}
}

// finish counts the whole blob as complete, including blobs that were present or mounted and never read.
func (m *progressMeter) finish(to *destination) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to.uploaded = to.reader != nil
	to.reader = nil
	m.set(to, to.size)
}

// countedLayer is a layer whose reading counts as progress.
type countedLayer struct {
	v1.Layer
	meter *progressMeter
	to    *destination
	// source is the registry that the layer may be read from, or "".
	source string
}

// Compressed begins an upload, or restarts it.
func (l *countedLayer) Compressed() (io.ReadCloser, error) {
	rc, err := l.Layer.Compressed()
	if err != nil {
		return nil, atRegistry(l.source, actionRead, err)
	}
	r := &countedReader{ReadCloser: rc, layer: l}
	l.meter.mu.Lock()
	defer l.meter.mu.Unlock()
	l.to.reader = r
	l.meter.set(l.to, 0)
	return r, nil
}

type countedReader struct {
	io.ReadCloser
	layer  *countedLayer
	closed bool
}

// errBodyReused tells go-containerregistry to restart an upload. After a token expires, it repeats the request with a
// body that it has sent already.
var errBodyReused = fmt.Errorf("the content has been sent before: %w", io.ErrUnexpectedEOF)

func (r *countedReader) Read(p []byte) (int, error) {
	if r.isClosed() {
		return 0, errBodyReused
	}
	n, err := r.ReadCloser.Read(p)
	m, to := r.layer.meter, r.layer.to
	m.mu.Lock()
	defer m.mu.Unlock()
	// The transport may still read for an abandoned attempt.
	if to.reader == r {
		m.set(to, to.counted+int64(n))
	}
	return n, err
}

func (r *countedReader) isClosed() bool {
	r.layer.meter.mu.Lock()
	defer r.layer.meter.mu.Unlock()
	return r.closed
}

func (r *countedReader) Close() error {
	r.layer.meter.mu.Lock()
	r.closed = true
	r.layer.meter.mu.Unlock()
	return r.ReadCloser.Close()
}
