package verify_test

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source"
)

// An image whose entrypoint does not exist has a problem, which the verdict reports.
func Example() {
	img, err := mutate.ConfigFile(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		&v1.ConfigFile{
			OS: "linux", Architecture: "arm64",
			Config: v1.Config{Entrypoint: []string{"/app/server"}}, RootFS: v1.RootFS{Type: "layers"},
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	root, err := partial.Descriptor(img)
	if err != nil {
		fmt.Println(err)
		return
	}
	verdict, err := verify.Source(context.Background(), &source.Source{Name: "server", Root: *root, Image: img})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, problem := range verdict.Problems {
		fmt.Println(problem)
	}
	// Output: linux/arm64: the entrypoint /app/server does not exist
}
