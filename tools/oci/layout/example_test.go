package layout_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
)

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "layout-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        empty.Image,
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}},
	})
	images := []content.Image{{Name: "hello", Index: index}}
	if err := layout.Write(context.Background(), dir, images, nil); err != nil {
		log.Fatal(err)
	}

	marker, err := os.ReadFile(filepath.Join(dir, layout.MarkerFile))
	if err != nil {
		log.Fatal(err)
	}
	blobs, err := os.ReadDir(filepath.Join(dir, layout.BlobsDir, "sha256"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(marker))
	fmt.Println(len(blobs), "blobs: config, manifest and index")
	// Output:
	// {"imageLayoutVersion":"1.0.0"}
	// 3 blobs: config, manifest and index
}
