package source_test

import (
	"context"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// Open an image index in an OCI layout and list its children.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := writeIndex(dir); err != nil {
		fmt.Println(err)
		return
	}
	s, err := source.Open(context.Background(), registry.Client{}, "oci:"+dir+":hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	children, err := s.Children()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range children {
		fmt.Println(c.Platform)
	}
	// Output:
	// linux/amd64
	// linux/arm/v7
}

// writeIndex writes an index for two platforms into the OCI layout in dir, with the name hello.
func writeIndex(dir string) error {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: empty.Image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: "amd64"},
		}},
		mutate.IndexAddendum{Add: empty.Image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"},
		}})
	return path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "hello"}))
}
