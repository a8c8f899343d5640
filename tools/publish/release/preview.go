package release

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/internal/format"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

// RedirectionLines describes for people which repositories replace others.
func RedirectionLines(all []config.Redirection) []string {
	if len(all) == 0 {
		return nil
	}
	lines := []string{"repositories:"}
	for _, r := range all {
		lines = append(lines, fmt.Sprintf("  %s -> %s", r.From, r.To))
	}
	return lines
}

// PreviewLines describes a preview for people: the uploads to each repository, then each tag.
func PreviewLines(p *push.Preview) []string {
	type traffic struct {
		uploads, mounts, manifests int
		bytes                      int64
	}
	to := map[string]*traffic{}
	var repositories []string
	at := func(repository string) *traffic {
		if to[repository] == nil {
			to[repository] = &traffic{}
			repositories = append(repositories, repository)
		}
		return to[repository]
	}
	total := int64(0)
	for _, u := range p.Uploads {
		at(u.Repository).uploads++
		at(u.Repository).bytes += u.Size
		total += u.Size
	}
	for _, m := range p.Mounts {
		at(m.Repository).mounts++
	}
	for _, m := range p.Manifests {
		repository, _, _ := strings.Cut(m.Reference, "@")
		at(repository).manifests++
	}
	slices.Sort(repositories)
	lines := []string{fmt.Sprintf("to upload: %s of %s; to mount: %s; to put: %s", format.Count(len(p.Uploads), "blob"),
		format.Bytes(total), format.Count(len(p.Mounts), "blob"), format.Count(len(p.Manifests), "manifest"))}
	for _, r := range repositories {
		t := to[r]
		lines = append(lines, fmt.Sprintf("  %s: upload %s of %s, mount %d, put %s",
			r, format.Count(t.uploads, "blob"), format.Bytes(t.bytes), t.mounts, format.Count(t.manifests, "manifest")))
	}
	if len(p.Tags) == 0 {
		return append(lines, "tags: none")
	}
	lines = append(lines, "tags:")
	for _, t := range p.Tags {
		what := fmt.Sprintf("%s -> %s", t.Before, t.Digest)
		switch {
		case t.Hidden:
			what = "new, or not readable with these credentials -> " + t.Digest.String()
		case t.Before == (v1.Hash{}):
			what = "new -> " + t.Digest.String()
		case t.Before == t.Digest:
			what = "stays " + t.Digest.String()
		case t.Refused():
			what += " REFUSED: it is immutable"
		case len(t.Lost) > 0:
			what += " REFUSED: it would lose " + push.PlatformNames(t.Lost)
		}
		if t.Unreadable {
			what = "unreadable -> " + t.Digest.String()
		}
		if t.Immutable && !t.Refused() {
			what += " (immutable)"
		}
		lines = append(lines, "  "+t.Reference+" "+what)
	}
	return lines
}
