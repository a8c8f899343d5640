package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// foreignLayout writes OCI layouts as other tools do.
type foreignLayout struct {
	ts  *testscript.TestScript
	dir string
}

type descriptor map[string]any

// blob writes a blob, as JSON unless it is text.
func (f foreignLayout) blob(mediaType string, content any) descriptor {
	raw, ok := content.([]byte)
	if !ok {
		var err error
		raw, err = json.Marshal(content)
		f.ts.Check(err)
	}
	sum := sha256.Sum256(raw)
	name := hex.EncodeToString(sum[:])
	f.ts.Check(os.MkdirAll(filepath.Join(f.dir, "blobs/sha256"), 0o755))
	f.ts.Check(os.WriteFile(filepath.Join(f.dir, "blobs/sha256", name), raw, 0o644))
	return descriptor{"mediaType": mediaType, "digest": "sha256:" + name, "size": len(raw)}
}

func (d descriptor) with(key string, value any) descriptor {
	more := descriptor{key: value}
	for k, v := range d {
		if k != key {
			more[k] = v
		}
	}
	return more
}

func (d descriptor) on(os, architecture string) descriptor {
	return d.with("platform", map[string]string{"os": os, "architecture": architecture})
}

const ociTypes = "application/vnd.oci.image."

func (f foreignLayout) image(os, architecture, seed string) descriptor {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	f.ts.Check(w.WriteHeader(&tar.Header{Name: seed, Typeflag: tar.TypeReg}))
	f.ts.Check(w.Close())
	blob := f.blob(ociTypes+"layer.v1.tar", layer.Bytes())
	config := f.blob(ociTypes+"config.v1+json", descriptor{
		"os":           os,
		"architecture": architecture,
		"rootfs":       descriptor{"type": "layers", "diff_ids": []any{blob["digest"]}},
	})
	return f.manifest(config, blob)
}

func (f foreignLayout) manifest(config, layer descriptor) descriptor {
	return f.blob(ociTypes+"manifest.v1+json", descriptor{
		"schemaVersion": 2,
		"mediaType":     ociTypes + "manifest.v1+json",
		"config":        config,
		"layers":        []descriptor{layer},
	})
}

func (f foreignLayout) attestation(of descriptor) descriptor {
	statement := f.blob("application/vnd.in-toto+json", descriptor{"subject": of["digest"]})
	config := f.blob(ociTypes+"config.v1+json", descriptor{
		"os":           "unknown",
		"architecture": "unknown",
		"rootfs":       descriptor{"type": "layers", "diff_ids": []any{statement["digest"]}},
	})
	return f.manifest(config, statement).on("unknown", "unknown").with("annotations", map[string]any{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"],
	})
}

func (f foreignLayout) index(entries ...descriptor) descriptor {
	return f.blob(ociTypes+"index.v1+json", descriptor{
		"schemaVersion": 2, "mediaType": ociTypes + "index.v1+json", "manifests": entries,
		"annotations": map[string]string{"k": "v"}, "x-unknown": []int{1},
	})
}

// foreign DIR writes a layout as other tools do. It contains the index rich, with all kinds of entries; the index
// sparse, which lists images that do not exist; and the images a, b and c. saved.tar is sparse as docker save would
// write it.
func foreign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: foreign DIR")
	}
	f := foreignLayout{ts, ts.MkAbs(args[0])}
	a, b, c := f.image("linux", "amd64", "a"), f.image("linux", "arm64", "b"), f.image("linux", "arm64", "c")
	empty := f.blob("application/vnd.oci.empty.v1+json", descriptor{})
	absent := descriptor{
		"mediaType": ociTypes + "manifest.v1+json",
		"digest":    "sha256:" + strings.Repeat("1", 64),
		"size":      7,
	}
	named := map[string]descriptor{
		"rich": f.index(b.on("linux", "arm64").with("x-unknown", 1.5), a.on("linux", "amd64"),
			f.image("linux", "amd64", "zstd").on("linux", "amd64").with("annotations",
				map[string]string{"io.github.containers.compression.zstd": "true"}),
			f.image("freebsd", "amd64", "bsd").on("freebsd", "amd64"), f.attestation(a), f.attestation(b),
			f.manifest(empty, empty).with("artifactType", "application/vnd.example")),
		"sparse": f.index(a.on("linux", "amd64"), f.attestation(a), absent.on("linux", "riscv64")),
		"a":      a, "b": b, "c": c,
	}
	write := func(dir string, entries []descriptor) {
		raw, err := json.Marshal(descriptor{"schemaVersion": 2, "manifests": entries})
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, "index.json"), raw, 0o644))
		ts.Check(os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion": "1.0.0"}`), 0o644))
	}
	write(f.dir, []descriptor{named["sparse"]})
	var saved bytes.Buffer
	w := tar.NewWriter(&saved)
	ts.Check(w.AddFS(os.DirFS(f.dir)))
	ts.Check(w.WriteHeader(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg, Size: 2, Mode: 0o644}))
	_, err := w.Write([]byte("[]"))
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs("saved.tar"), saved.Bytes(), 0o644))
	var entries []descriptor
	for name, d := range named {
		entries = append(entries, d.with("annotations", map[string]string{"org.opencontainers.image.ref.name": name}))
	}
	write(f.dir, entries)
}

// sameRaw A B requires that two references have the same index, byte for byte.
func sameRaw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sameraw A B")
	}
	var raw [2][]byte
	for i, ref := range args {
		if dir, ok := strings.CutPrefix(ref, "oci:"); ok {
			ref = "oci:" + ts.MkAbs(dir)
		}
		s, err := source.Open(context.Background(), registry.Client{}, ref)
		ts.Check(err)
		raw[i], err = s.Index.RawManifest()
		ts.Check(err)
		ts.Check(s.Close())
	}
	if !bytes.Equal(raw[0], raw[1]) {
		ts.Fatalf("%s and %s differ:\n%s\n\n%s", args[0], args[1], raw[0], raw[1])
	}
}
