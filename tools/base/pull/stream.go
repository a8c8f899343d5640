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

// stream calls read with a layer: from the store if it is there, else as the registry sends it. read sees nothing but the
// bytes of the digest, or an error at their end. It is called again if the connection breaks.
func (p *Puller) stream(ctx context.Context, repo name.Repository, b lock.Blob, read func(io.Reader) error) error {
	r, kept := p.store.OpenChecked(b.Digest)
	if !kept && p.KeepLayers {
		var err error
		if r, err = p.blob(ctx, repo, b); err != nil {
			return err
		}
		kept = true
	}
	if kept {
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
		return read(&verified{r: body, want: b, sum: sha256.New()})
	})
	if err != nil {
		return fmt.Errorf("reading %s from %s: %w", b.Digest, repo, err)
	}
	return nil
}

// verified reads a blob, and fails at its end if it is not the one that was wanted.
type verified struct {
	r    io.Reader
	want lock.Blob
	sum  hash.Hash
	size int64
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.size += int64(n)
	v.sum.Write(p[:n])
	switch {
	case v.size > v.want.Size:
		return 0, fmt.Errorf("the registry sends more than %d bytes", v.want.Size)
	case errors.Is(err, io.EOF) && v.size < v.want.Size:
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF) && hex.EncodeToString(v.sum.Sum(nil)) != v.want.Digest.Hex:
		return 0, fmt.Errorf("the registry sends %d bytes of another digest", v.size)
	}
	return n, err
}
