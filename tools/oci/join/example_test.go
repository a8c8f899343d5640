package join_test

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/multiarch-build/multiarch/tools/oci/join"
)

func ExampleJoin() {
	var sources []join.Source
	for _, architecture := range []string{"arm64", "amd64"} {
		img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: architecture})
		if err != nil {
			panic(err)
		}
		sources = append(sources, join.Source{Name: "app-" + architecture, Image: img})
	}
	joined, err := join.Join(sources, join.Options{})
	if err != nil {
		panic(err)
	}
	for _, c := range joined.Children {
		fmt.Println(c.Platform())
	}
	// Output:
	// linux/amd64
	// linux/arm64
}
