package push

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// Preview is what Run would do, in the order of the targets. Blobs are sorted by size, the largest first.
type Preview struct {
	// Uploads are blobs that would be sent. Mounts are blobs that would be mounted from another repository of the same
	// registry, or sent if the registry refuses.
	Uploads []Transfer `json:"uploads"`
	Mounts  []Transfer `json:"mounts"`
	// Manifests are the image manifests and indexes that would be uploaded.
	Manifests []Artifact `json:"manifests"`
	// Tags are all tags, including those that are up to date.
	Tags []TagChange `json:"tags"`
}

// Transfer is the upload or mount of a blob.
type Transfer struct {
	// Where names the blob: hello, linux/arm64: layer 2.
	Where      string  `json:"where"`
	Repository string  `json:"repository"`
	Digest     v1.Hash `json:"digest"`
	Size       int64   `json:"size"`
	// From is the repository to mount from, "" for an upload.
	From string `json:"from,omitempty"`
}

// Err returns an *ImmutableError or a *LostPlatformsError if Run would refuse to move tags.
func (p Preview) Err() error {
	var immutable ImmutableError
	var lost LostPlatformsError
	for _, t := range p.Tags {
		switch {
		case t.Refused():
			immutable.Tags = append(immutable.Tags, t)
		case len(t.Lost) > 0:
			lost.Tags = append(lost.Tags, t)
		}
	}
	switch {
	case len(immutable.Tags) > 0:
		return &immutable
	case len(lost.Tags) > 0:
		return &lost
	}
	return nil
}

// NewPreview checks what the registries have and returns what Run would do. It sends only read requests. Errors of
// registries are of type *Error.
func NewPreview(ctx context.Context, client registry.Client, targets []Target) (*Preview, error) {
	p, err := newPusher(ctx, client, targets)
	if err != nil {
		return nil, err
	}
	var lost *LostPlatformsError // Preview.Tags has it
	if err := p.checkExisting(ctx); err != nil && !errors.As(err, &lost) {
		return nil, &Error{Preview: true, Err: err}
	}
	if err := p.checkBlobs(ctx, nil); err != nil {
		return nil, &Error{Preview: true, Err: err}
	}
	preview := &Preview{Uploads: []Transfer{}, Mounts: []Transfer{}, Manifests: []Artifact{}, Tags: []TagChange{}}
	for _, b := range p.blobs {
		transfers, err := b.transfers()
		if err != nil {
			return nil, err
		}
		for _, step := range transfers {
			t := Transfer{Where: b.Label, Repository: step.to.repo.Name(), Digest: b.Digest, Size: b.Size}
			if step.mountFrom == nil {
				preview.Uploads = append(preview.Uploads, t)
				continue
			}
			t.From = step.mountFrom.Name()
			preview.Mounts = append(preview.Mounts, t)
		}
	}
	listed := map[*manifestUpload]bool{}
	for _, u := range p.images {
		for _, m := range u.manifests {
			if !m.present && !listed[m] {
				listed[m] = true
				preview.Manifests = append(preview.Manifests, Artifact{u.Name, m.Platform, m.ref.String(), m.Digest})
			}
		}
		for _, t := range u.tags {
			preview.Tags = append(preview.Tags, t.change())
		}
	}
	return preview, nil
}
