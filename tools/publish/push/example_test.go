package push_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

func ExampleRun() {
	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        empty.Image,
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}},
	})
	target := push.Target{Name: "hello", Index: index, Repository: host + "/team/hello", Tags: []string{"v1", "latest"}}
	pushed, err := push.Run(context.Background(), registry.Client{}, []push.Target{target}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, artifact := range pushed {
		fmt.Println(strings.TrimPrefix(artifact.Reference, host))
	}
	// Output:
	// /team/hello:v1
	// /team/hello:latest
}
