package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// dockerManifest is the output of `docker manifest inspect --verbose` for an image (docker/cli, cli/manifest/types,
// ImageManifest). The order of the fields matters.
type dockerManifest struct {
	Ref        string
	Descriptor ocispec.Descriptor
	// Raw is the stored manifest (base64 in JSON); the other two are the same manifest as JSON.
	Raw              []byte          `json:",omitempty"`
	SchemaV2Manifest json.RawMessage `json:",omitempty"`
	OCIManifest      json.RawMessage `json:",omitempty"`
}

// DockerManifests returns the output of `docker manifest inspect --verbose`, byte for byte: a list for an index or one
// object for an image, and a newline. The references of a source outside a registry are made from its name.
func DockerManifests(ctx context.Context, s *source.Source) ([]byte, error) {
	all, err := s.Children()
	if err != nil {
		return nil, err
	}
	if s.Image != nil {
		m, err := dockerImage(s, all[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		return dockerJSON(m)
	}
	manifests := make([]*dockerManifest, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, l := range all {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			m, err := dockerChild(s, l)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", s.Name, source.Label(all, i), err)
			}
			manifests[i] = m
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return dockerJSON(manifests)
}

func dockerJSON(v any) ([]byte, error) {
	out, err := json.MarshalIndent(v, "", "\t")
	return append(out, '\n'), err
}

// dockerImage describes a single image, with the platform of its config.
func dockerImage(s *source.Source, l source.Child) (*dockerManifest, error) {
	o, err := l.Read()
	if err != nil {
		return nil, err
	}
	raw, _, err := o.ReadConfig()
	if err != nil {
		return nil, err
	}
	// The fields of a platform have the same names in a config. Docker relies on this, too.
	platform := &ocispec.Platform{}
	if err := json.Unmarshal(raw, platform); err != nil {
		return nil, &source.DecodeError{Document: "config", Err: err}
	}
	return newDockerManifest(o, dockerRef(s, ""), platform)
}

// dockerChild describes an image of an index, with the platform of the index, which is optional.
func dockerChild(s *source.Source, l source.Child) (*dockerManifest, error) {
	o, err := l.Read()
	if err != nil {
		return nil, err
	}
	platform := &ocispec.Platform{}
	if p := l.Descriptor.Platform; p != nil {
		*platform = ocispec.Platform{
			Architecture: p.Architecture, OS: p.OS, OSVersion: p.OSVersion, OSFeatures: p.OSFeatures, Variant: p.Variant,
		}
	}
	return newDockerManifest(o, dockerRef(s, digest.Digest(l.Descriptor.Digest.String())), platform)
}

func newDockerManifest(o *source.Manifest, ref string, platform *ocispec.Platform) (*dockerManifest, error) {
	h, size, err := v1.SHA256(bytes.NewReader(o.Raw))
	if err != nil {
		return nil, err
	}
	m := &dockerManifest{
		Ref: ref,
		Descriptor: ocispec.Descriptor{
			MediaType: string(o.Descriptor.MediaType), Digest: digest.Digest(h.String()), Size: size, Platform: platform,
		},
		Raw: o.Raw,
	}
	if o.Descriptor.MediaType == types.DockerManifestSchema2 {
		m.SchemaV2Manifest = o.Raw
	} else {
		m.OCIManifest = o.Raw
	}
	return m, nil
}

// dockerRef returns the reference of an image, completed as docker does, with the digest of a child if there is one.
func dockerRef(s *source.Source, child digest.Digest) string {
	named, err := reference.ParseNormalizedNamed(s.Name)
	if err != nil || !s.Remote() {
		if child == "" {
			return s.Name
		}
		return s.Name + "@" + child.String()
	}
	if _, digested := named.(reference.Canonical); !digested {
		named = reference.TagNameOnly(named)
	}
	if child == "" {
		return named.String()
	}
	full, err := reference.WithDigest(named, child)
	if err != nil {
		return named.String() + "@" + child.String()
	}
	return full.String()
}
