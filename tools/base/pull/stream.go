package pull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// stream calls read with the content of a layer, from the store if it has the layer, else directly from the registry.
// If the content does not match the digest, read gets an error at its end. If the connection breaks, read is called
// again with the content from its start.
func (p *Puller) stream(ctx context.Context, repo name.Repository, b lock.Blob, read func(io.Reader) error) error {
	r, stored := p.store.OpenChecked(b.Digest)
	if !stored && p.KeepLayers {
		var err error
		if r, err = p.blob(ctx, repo, b); err != nil {
			return err
		}
		stored = true
	}
	if stored {
		return errors.Join(read(r), r.Close())
	}
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	err := p.client.Retry(ctx, func(ctx context.Context) error {
		blobs, err := p.blobs(ctx, repo)
		if err != nil {
			return err
		}
		body, _, err := blobs.Open(ctx, b.Digest.String(), 0)
		if err != nil {
			return err
		}
		defer body.Close()
		return read(&verifier{r: body, want: b, sum: sha256.New()})
	})
	if err != nil {
		return fmt.Errorf("reading %s from %s: %w", b.Digest, repo, err)
	}
	return nil
}

// verifier reads a blob, and fails at its end if size or digest differ.
type verifier struct {
	r    io.Reader
	want lock.Blob
	sum  hash.Hash
	size int64
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.size += int64(n)
	v.sum.Write(p[:n])
	switch {
	case v.size > v.want.Size:
		return 0, fmt.Errorf("the registry returned more than %d bytes", v.want.Size)
	case errors.Is(err, io.EOF) && v.size < v.want.Size:
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF) && hex.EncodeToString(v.sum.Sum(nil)) != v.want.Digest.Hex:
		return 0, fmt.Errorf("the registry returned %d bytes with another digest", v.size)
	}
	return n, err
}
