package push

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// Preview says what a Push would do, in the order of the targets; blobs by size, the largest first.
type Preview struct {
	// Uploads are the blobs that would be sent, Mounts those that the registry would be asked to take from another of
	// its repositories: it may refuse, and is sent them then.
	Uploads []Transfer `json:"uploads"`
	Mounts  []Transfer `json:"mounts"`
	// Manifests are the image manifests and indexes that would be put.
	Manifests []Artifact `json:"manifests"`
	// Tags are all tags, also those that stand for the right thing already.
	Tags []TagChange `json:"tags"`
}

// Transfer is a blob on its way into a repository.
type Transfer struct {
	// Where says whose blob it is: hello, linux/arm64: layer 2.
	Where      string  `json:"where"`
	Repository string  `json:"repository"`
	Digest     v1.Hash `json:"digest"`
	Size       int64   `json:"size"`
	// From is the repository to mount it from, "" for an upload.
	From string `json:"from,omitempty"`
}

// Err is an *ImmutableError or a *LostPlatformsError if Push would refuse to move tags, else nil.
func (p Preview) Err() error {
	var immutable ImmutableError
	var narrowed LostPlatformsError
	for _, t := range p.Tags {
		switch {
		case t.Refused():
			immutable.Tags = append(immutable.Tags, t)
		case len(t.Lost) > 0:
			narrowed.Tags = append(narrowed.Tags, t)
		}
	}
	switch {
	case len(immutable.Tags) > 0:
		return &immutable
	case len(narrowed.Tags) > 0:
		return &narrowed
	}
	return nil
}

// NewPreview asks the registries what they have, and finds out what Push would do. It sends nothing but requests that
// read. An error about a registry is a *Error.
func NewPreview(ctx context.Context, client registry.Client, targets []Target) (*Preview, error) {
	p, err := newPush(ctx, client, targets)
	if err != nil {
		return nil, err
	}
	var narrowed *LostPlatformsError // is in the tags
	if err := p.survey(ctx); err != nil && !errors.As(err, &narrowed) {
		return nil, &Error{Preview: true, Err: err}
	}
	if err := p.stock(ctx, nil); err != nil {
		return nil, &Error{Preview: true, Err: err}
	}
	preview := &Preview{Uploads: []Transfer{}, Mounts: []Transfer{}, Manifests: []Artifact{}, Tags: []TagChange{}}
	for _, c := range p.list {
		route, err := c.route()
		if err != nil {
			return nil, err
		}
		for _, s := range route {
			t := Transfer{Where: c.Label, Repository: s.to.repo.Name(), Digest: c.Digest, Size: c.Size}
			if s.from == nil {
				preview.Uploads = append(preview.Uploads, t)
				continue
			}
			t.From = s.from.Name()
			preview.Mounts = append(preview.Mounts, t)
		}
	}
	listed := map[*record]bool{}
	for _, d := range p.all {
		for _, r := range d.records {
			if !r.there && !listed[r] {
				listed[r] = true
				preview.Manifests = append(preview.Manifests, Artifact{d.Name, r.Platform, r.ref.String(), r.Digest})
			}
		}
		for _, t := range d.tags {
			preview.Tags = append(preview.Tags, t.change())
		}
	}
	return preview, nil
}
