package inspect

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Stored is an image or image index of an OCI archive, with everything it is called there.
type Stored struct {
	*Source
	Names []string
}

// OpenStored opens all that has a name in the OCI archive at file, each digest once, in the order in which the archive
// has them. A name is the full reference in io.containerd.image.name, or else org.opencontainers.image.ref.name, which may
// be a mere tag. An archive in which nothing has a name is an error: nobody could say what to call it elsewhere. The caller closes all of them.
func OpenStored(file string) (all []Stored, err error) {
	defer func() {
		if err != nil {
			for _, s := range all {
				err = errors.Join(err, s.Close())
			}
			all, err = nil, fmt.Errorf("opening %s: %w", file, err)
		}
	}()
	list, err := entries(file)
	if err != nil {
		return nil, err
	}
	at := map[v1.Hash]int{}
	for _, d := range list {
		name := cmp.Or(d.Annotations[containerdName], d.Annotations[refName])
		if name == "" {
			continue
		}
		n, known := at[d.Digest]
		if !known {
			s, err := openArchive(file, d.Digest.String(), (*archive).asLayout)
			if err != nil {
				return all, err
			}
			s.Name = name
			n = len(all)
			at[d.Digest] = n
			all = append(all, Stored{Source: s})
		}
		all[n].Names = append(all[n].Names, name)
	}
	if len(all) == 0 {
		return nil, errors.New("no image in it has a name (org.opencontainers.image.ref.name)")
	}
	return all, nil
}

// entries are those of an OCI archive's index.json.
func entries(file string) (list []v1.Descriptor, err error) {
	var index v1.IndexManifest
	s, err := openArchive(file, "", func(a *archive, _ string) (*Source, error) {
		if !a.has("oci-layout") {
			return nil, errors.New("it is not an OCI archive: it has no file oci-layout")
		}
		raw, err := layout{a}.read("index.json")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &index); err != nil {
			return nil, fmt.Errorf("reading index.json: %w", err)
		}
		return &Source{}, nil
	})
	if err != nil {
		return nil, err
	}
	return index.Manifests, s.Close()
}
