package join

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/indexjson"
)

// write creates the index.
func (b *base) write(o Options, sources []Source) (v1.ImageIndex, error) {
	mediaType, err := b.mediaType(o)
	if err != nil {
		return nil, fmt.Errorf("%s: reading the index: %w", b.source.name(), err)
	}
	document := b.document
	if document == nil {
		if document, err = b.create(mediaType, o.Annotations); err != nil {
			return nil, err
		}
	} else if err := b.edit(document, mediaType, o.Annotations); err != nil {
		return nil, err
	}
	if o.Docker {
		for _, key := range []string{"annotations", "subject", "artifactType"} {
			if document.Get(key) != nil {
				return nil, &DockerError{key}
			}
		}
	}
	i := &joinedIndex{raw: document.Bytes(), mediaType: mediaType, images: map[v1.Hash]v1.Image{}}
	for _, c := range b.children {
		if c.Image != nil {
			i.images[c.Descriptor.Digest] = c.Image
		}
	}
	if b.source != nil && b.source.Index != nil {
		i.others = append(i.others, b.source.Index)
	}
	for _, s := range sources {
		if s.Index != nil {
			i.others = append(i.others, s.Index)
		}
	}
	return i, nil
}

// create writes a new index. It keeps unknown fields of entries.
func (b *base) create(mediaType types.MediaType, annotations map[string]string) (*indexjson.Index, error) {
	if len(annotations) == 0 {
		annotations = nil
	}
	descriptors := make([]v1.Descriptor, len(b.children))
	for i, c := range b.children {
		descriptors[i] = c.Descriptor
	}
	raw, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: mediaType, Manifests: descriptors,
		Annotations: annotations})
	if err != nil {
		return nil, fmt.Errorf("writing the image index: %w", err)
	}
	document, err := indexjson.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("writing the image index: %w", err)
	}
	for i, c := range b.children {
		if document.Entries[i], err = withUnknown(document.Entries[i], c.from); err != nil {
			return nil, err
		}
	}
	return document, nil
}

// edit changes an existing index.
func (b *base) edit(document *indexjson.Index, mediaType types.MediaType, annotations map[string]string) error {
	var entries []indexjson.Entry
	for _, c := range b.children {
		if c.Source < 0 {
			entries = append(entries, c.from)
			continue
		}
		e, err := indexjson.NewEntry(c.Descriptor)
		if err == nil {
			e, err = withUnknown(e, c.from)
		}
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	document.Entries = entries
	if declared := document.Get("mediaType"); declared != nil || mediaType == types.DockerManifestList {
		var now types.MediaType
		if _ = json.Unmarshal(declared, &now); now != mediaType {
			if err := document.Set("mediaType", mediaType); err != nil {
				return err
			}
		}
	}
	if len(annotations) == 0 {
		return nil
	}
	all := map[string]string{}
	if old := document.Get("annotations"); old != nil {
		if err := json.Unmarshal(old, &all); err != nil {
			return fmt.Errorf("%s: reading the annotations: %w", b.source.name(), err)
		}
	}
	before := maps.Clone(all)
	if maps.Copy(all, annotations); maps.Equal(before, all) {
		return nil
	}
	return document.Set("annotations", all)
}

// withUnknown adds the unknown fields of the original entry to a new one.
func withUnknown(e, from indexjson.Entry) (indexjson.Entry, error) {
	if from.Raw == nil {
		return e, nil
	}
	old, err := indexjson.ParseObject(from.Raw)
	if err != nil {
		return e, err
	}
	for _, key := range old.Keys() {
		if slices.Contains([]string{"mediaType", "size", "digest", "annotations", "platform", "artifactType"}, key) {
			continue
		}
		now, err := indexjson.ParseObject(e.Raw)
		if err != nil || now.Get(key) != nil {
			continue
		}
		if e, err = e.With(key, old.Get(key)); err != nil {
			return e, err
		}
	}
	return e, nil
}

// joinedIndex is an index whose images are in memory or in the indexes of the sources.
type joinedIndex struct {
	raw       []byte
	mediaType types.MediaType
	images    map[v1.Hash]v1.Image
	others    []v1.ImageIndex
}

func (i *joinedIndex) MediaType() (types.MediaType, error) { return i.mediaType, nil }
func (i *joinedIndex) RawManifest() ([]byte, error)        { return i.raw, nil }
func (i *joinedIndex) Size() (int64, error)                { return int64(len(i.raw)), nil }

func (i *joinedIndex) Digest() (v1.Hash, error) {
	h, _, err := sum("sha256", i.raw)
	return h, err
}

func (i *joinedIndex) IndexManifest() (*v1.IndexManifest, error) {
	var m v1.IndexManifest
	err := json.Unmarshal(i.raw, &m)
	return &m, err
}

func (i *joinedIndex) Image(h v1.Hash) (v1.Image, error) {
	if img, ok := i.images[h]; ok {
		return img, nil
	}
	return first(i, h, v1.ImageIndex.Image)
}

func (i *joinedIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	return first(i, h, v1.ImageIndex.ImageIndex)
}

// first opens an entry in the first index that has it.
func first[T any](i *joinedIndex, h v1.Hash, open func(v1.ImageIndex, v1.Hash) (T, error)) (found T, err error) {
	err = fmt.Errorf("manifest %s is not in the index", h)
	for _, other := range i.others {
		if found, err = open(other, h); err == nil {
			break
		}
	}
	return found, err
}
