package verify_test

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"

	"github.com/multiarch-build/multiarch/tools/oci/source/sourcetest"
)

// TestVerifyOfHostileLibraries has so many libraries to search for that it would exceed the timeout of go test without
// limits.
func TestVerifyOfHostileLibraries(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("lib%d.so", i))
	}
	const loader = "/lib/ld.so"
	files := []sourcetest.File{{Name: "lib/ld.so", Mode: 0o755, Text: linked{platform: "linux/amd64"}.elf(t)}}
	greedy := linked{
		platform:    "linux/amd64",
		interpreter: loader,
		needed:      names,
		rpath:       strings.Repeat("/r:", 1300),
	}.elf(t)
	for i := range 500 {
		files = append(files, sourcetest.File{Name: fmt.Sprintf("bin/%d", i), Mode: 0o755, Text: greedy})
	}
	many := sourcetest.Layer(t, append(files, sourcetest.File{Name: "app/hello", Mode: 0o755, Text: greedy})...)
	chain := append([]sourcetest.File{}, files[0], sourcetest.File{
		Name: "app/hello",
		Mode: 0o755,
		Text: linked{platform: "linux/amd64", interpreter: loader, needed: []string{"c0.so"}}.elf(t),
	})
	for i := range 20_000 {
		chain = append(chain, sourcetest.File{
			Name: fmt.Sprintf("lib/c%d.so", i),
			Text: linked{platform: "linux/amd64", needed: []string{fmt.Sprintf("c%d.so", i+1), "a.so", "b.so", "c.so"}}.elf(t),
		})
	}
	for name, c := range map[string]struct {
		layer v1.Layer
		env   string
	}{
		"programs that need everything": {many, "LD_LIBRARY_PATH=" + strings.Repeat("/e:", 50_000)},
		"a chain of libraries":          {sourcetest.Layer(t, chain...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := verifyImage(t, sourcetest.Image(t, "linux/amd64", func(f *v1.ConfigFile) { f.Config.Env = []string{c.env} },
				c.layer))
			assert.NotEmpty(t, v.Problems)
		})
	}
}

func FuzzLibraries(f *testing.F) {
	f.Add([]byte(linked{
		platform:    "linux/amd64",
		interpreter: "/lib/ld.so",
		needed:      []string{"libx.so"},
		rpath:       "$ORIGIN:$LIB/a::",
		runpath:     "/b",
	}.elf(f)),
		[]byte(linked{platform: "linux/amd64", needed: []string{"libx.so", "liby.so"}, soname: "libx.so"}.elf(f)),
		[]byte(ldconfigCache("", "libx.so", "/opt/libx.so")))
	f.Add([]byte(linked{platform: "linux/amd64", interpreter: "/lib/ld-musl-x.so", needed: []string{"libx.so"}}.elf(f)),
		[]byte("INPUT(a)"), []byte("ld.so-1.7.0\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, program, library, cache []byte) {
		verifyLayer(t, sourcetest.Tar(t, sourcetest.File{Name: "app/hello", Text: string(program), Mode: 0o755},
			sourcetest.File{Name: "lib/libx.so", Text: string(library)},
			sourcetest.File{Name: "etc/ld.so.cache", Text: string(cache)}, sourcetest.File{
				Name: "etc/ld-musl-x.path",
				Text: string(cache),
			}))
	})
}
