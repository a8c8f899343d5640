package run

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// DamagedError is returned for an image whose content does not match its manifest or config.
type DamagedError struct{ reason string }

func (e *DamagedError) Error() string { return e.reason }

// Hint tells how to restore the image.
func (e *DamagedError) Hint() string { return "build, copy or pull the image again" }

func damagedf(format string, args ...any) error { return &DamagedError{fmt.Sprintf(format, args...)} }

// blob is a layer with its entries in the manifest and the config.
type blob struct {
	layer  v1.Layer
	digest v1.Hash
	size   int64
	diffID v1.Hash
}

// blobs lists the layers of an image from the bottom up. The config must match the manifest.
func blobs(img v1.Image) ([]blob, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the image's layers: %w", err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading the image's manifest: %w", err)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image's config: %w", err)
	}
	if got, _, _ := v1.SHA256(bytes.NewReader(raw)); got != manifest.Config.Digest {
		return nil, damagedf("config has digest %s, but the manifest lists %s", got, manifest.Config.Digest)
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the image's config: %w", err)
	}
	diffIDs := config.RootFS.DiffIDs
	if len(diffIDs) != len(manifest.Layers) || len(layers) != len(diffIDs) {
		return nil, damagedf("manifest has %d layers, but the config has %d diffIDs", len(manifest.Layers), len(diffIDs))
	}
	all := make([]blob, len(diffIDs))
	for i, d := range manifest.Layers {
		all[i] = blob{layers[i], d.Digest, d.Size, diffIDs[i]}
	}
	return all, nil
}

// read passes the content of a layer to visit, and reads the rest of it to compare all bytes with digest and diffID.
func (b blob) read(ctx context.Context, visit func(io.Reader) error) (err error) {
	stored, err := b.layer.Compressed()
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := stored.Close(); err == nil {
			err = closeErr
		}
	}()
	packed := &sum{inner: cancelable{ctx, stored}, hash: sha256.New()}
	buffered := bufio.NewReaderSize(packed, 64<<10)
	content, release, err := decompress(buffered)
	if err != nil {
		return damagedf("decompressing: %v", err)
	}
	defer release()
	unpacked := &sum{inner: content, hash: sha256.New()}
	visited := visit(unpacked)
	// What is left belongs to the layer, too. If its bytes are wrong, that is why it could not be visited.
	_, err = io.Copy(io.Discard, unpacked)
	if err == nil {
		_, err = io.Copy(io.Discard, buffered)
	}
	switch {
	case packed.err != nil:
		return packed.err
	case err == nil && packed.n != b.size:
		return damagedf("blob has %d bytes, but the manifest lists %d", packed.n, b.size)
	case err == nil && packed.digest() != b.digest:
		return damagedf("blob has digest %s, but the manifest lists %s", packed.digest(), b.digest)
	case err != nil:
		return damagedf("decompressing: %v", err)
	case unpacked.digest() != b.diffID:
		return damagedf("diffID is %s, but the config lists %s", unpacked.digest(), b.diffID)
	}
	return visited
}

// decompress detects the compression of a layer by its first bytes, as container runtimes do.
func decompress(r *bufio.Reader) (content io.Reader, release func(), err error) {
	magic, _ := r.Peek(4) // a shorter blob is not compressed
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b: // RFC 1952
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case string(magic) == "\x28\xb5\x2f\xfd": // RFC 8878
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, func() {}, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// sum hashes and counts what is read, and keeps the error that ended it.
type sum struct {
	inner io.Reader
	hash  hash.Hash
	n     int64
	err   error
}

func (s *sum) Read(p []byte) (int, error) {
	n, err := s.inner.Read(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *sum) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.hash.Sum(nil))}
}
