package image_test

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/oci/image"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func ExampleIndex() {
	var blob bytes.Buffer
	entries := []layer.Entry{layer.NewFile("/etc/motd", 0o644, []byte("hello\n"))}
	d, err := layer.Write(context.Background(), &blob, entries, layer.Options{OS: "linux"})
	if err != nil {
		panic(err)
	}
	layers := []image.Layer{{Descriptor: d, CreatedBy: image.CreatedByFiles, Blob: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blob.Bytes())), nil
	}}}

	var children []image.Child
	for _, name := range []string{"linux/amd64", "linux/arm/v7"} {
		p, err := arch.Parse(name)
		if err != nil {
			panic(err)
		}
		img, err := image.New(p, image.Settings{Cmd: []string{"cat", "/etc/motd"}}, nil, layers, nil)
		if err != nil {
			panic(err)
		}
		children = append(children, image.Child{Platform: p, Image: img})
	}
	index, err := image.Index(children, nil)
	if err != nil {
		panic(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		panic(err)
	}
	fmt.Println(manifest.MediaType)
	for _, m := range manifest.Manifests {
		fmt.Println(m.Platform, m.MediaType)
	}
	// Output:
	// application/vnd.oci.image.index.v1+json
	// linux/amd64 application/vnd.oci.image.manifest.v1+json
	// linux/arm/v7 application/vnd.oci.image.manifest.v1+json
}
