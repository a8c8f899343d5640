package debian_test

import (
	"testing"

	"github.com/multiarch-build/multiarch/tools/base/debian"
)

func FuzzStanzas(f *testing.F) {
	f.Add([]byte(stanza("one", "1.0", "amd64", "Depends: a (>= 1) | b, c:any", "Provides: d (= 2), e")))
	f.Add([]byte("A: b\n c\n\t\n#x\n\nB:\n .\n"))
	f.Add([]byte(":\n\n \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := debian.Stanzas(data)
		for _, s := range all {
			for name := range s {
				if name == "" {
					t.Error("field without a name")
				}
			}
		}
		if x, err := debian.ParseIndex("stable", "amd64", data); err == nil {
			_, _ = x.Resolve([]string{"one"}, nil)
		}
		_ = err
	})
}

// FuzzDeb should run with -fuzzminimizetime 1x. Otherwise, the fuzzer spends a minute minimizing each input.
func FuzzDeb(f *testing.F) {
	for _, ending := range []string{"", ".gz", ".xz", ".zst"} {
		f.Add(debFile(f, "one", "1.0", "amd64", "", ending,
			file{name: "./usr/bin/one", body: "x"}, file{name: "./x", kind: '2', link: "usr"}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		options := debian.WithLimit(debian.Options{TempDir: t.TempDir()}, 1<<20)
		tree, err := debian.Merge(t.Context(), []debian.Deb{debOf("one", "1.0", "amd64", data)}, options)
		if err != nil {
			return
		}
		for _, e := range tree.Entries {
			if e.Path == "" || e.Path[0] != '/' {
				t.Errorf("entry with the relative path %q", e.Path)
			}
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
}
