package layer_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

func ExampleWrite() {
	entries := []layer.Entry{
		layer.NewFile("/etc/motd", 0o644, []byte("hello\n")),
		layer.ExplicitDir("/var/lib/hello", 0o700, &layer.Owner{UID: 65532, GID: 65532}),
		layer.ExplicitLink("/motd", "etc/motd"),
	}
	var blob bytes.Buffer
	d, err := layer.Write(context.Background(), &blob, entries, layer.Options{OS: "linux"})
	if err != nil {
		panic(err)
	}
	fmt.Println(d.MediaType)
	fmt.Println(int64(blob.Len()) == d.Size)
	fmt.Println(d.DiffID)
	// Output:
	// application/vnd.oci.image.layer.v1.tar+gzip
	// true
	// sha256:233dc75ec7239ed9b1bef78027619839c7969e2ffbaa576166d982050cb5cf9e
}
