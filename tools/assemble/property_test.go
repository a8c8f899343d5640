package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRandomTreesMatchEmbeddedEngine builds images of random trees with both engines, with arguments in a params file.
func TestRandomTreesMatchEmbeddedEngine(t *testing.T) {
	names := []string{
		"a", "b.txt", "with space", "quo\"te", "p%rcent%s", "<&>", "größe", "@at", "-dash", "=", "tmp", "bin",
		strings.Repeat("long", 40),
	}
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newActionDir(t)
			r := rand.New(rand.NewPCG(seed, 1))
			word := func() string { return names[r.IntN(len(names))] }
			for range 1 + r.IntN(12) {
				file := "tree/" + word() + ".d"
				for range r.IntN(3) {
					file += "/" + word() + ".d"
				}
				file += "/" + word()
				w.write(file, strings.Repeat(word(), r.IntN(2000)))
				require.NoError(t, os.Chmod(file, fs.FileMode([]int{0o644, 0o755, 0o600, 0o711}[r.IntN(4)])))
			}
			to := []string{"/", "/opt", "/tmp", "/lib/x"}[r.IntN(4)]
			about := entryFlag{Mode: []uint32{0, 0o640, 0o4755}[r.IntN(3)], UID: []int{0, 0, 65532, 1 << 30}[r.IntN(4)]}
			var entries []string
			add := func(e entryFlag) {
				content, err := json.Marshal(e)
				require.NoError(t, err)
				entries = append(entries, "-entry", string(content))
			}
			require.NoError(t, filepath.WalkDir("tree", func(file string, d fs.DirEntry, err error) error {
				e := about
				e.Path, e.From = path.Join(to, strings.TrimPrefix(filepath.ToSlash(file), "tree")), file
				switch {
				case err != nil || e.Path == "/":
					return err
				case !d.IsDir():
					info, err := d.Info()
					if err != nil {
						return err
					}
					// As multiarch generate does for executable.
					if e.Mode == 0 && info.Mode()&0o111 != 0 {
						e.Mode = 0o755
					}
					add(e)
				case e.UID != 0 || e.Mode != 0:
					// As the rules do for owned_below.
					add(entryFlag{Path: e.Path, Dir: true, UID: e.UID, GID: e.GID, Mode: e.Mode})
				}
				return nil
			}))
			r.Shuffle(len(entries)/2, func(i, j int) {
				entries[2*i+1], entries[2*j+1] = entries[2*j+1], entries[2*i+1]
			})
			w.write("params", strings.Join(entries, "\n")+"\n")

			system, compression := []string{"linux", "windows"}[r.IntN(2)], []string{"gzip", "zstd"}[r.IntN(2)]
			yaml := fmt.Sprintf("version: 1\nplatforms: [%s/amd64]\nimages:\n  hello:\n    base: scratch\n"+
				"    compression: %s\n    files: [{from: tree, to: %s, owner: \"%d:0\"", system, compression, to, about.UID)
			if about.Mode != 0 {
				yaml += fmt.Sprintf(", mode: \"%04o\"", about.Mode)
			}
			want := w.embedded(yaml + "}]\n")
			w.must("layer", "-image", "hello", "-os", system, "-compression", compression, "-content", "files", "-blob", "blob",
				"-descriptor", "blob.json", "@params")
			w.write("settings", `{"settings":{"created":"1970-01-01T00:00:00Z"}}`)
			w.must("index", "-index", "index", "-descriptor", "top", "-digest", "digest",
				"--", "-platform", system+"/amd64", "-settings", "settings", "-layer", "blob.json", "-manifest", "m",
				"-config", "c", "-descriptor", "d")
			digest, err := want.Digest()
			require.NoError(t, err)
			got, err := os.ReadFile("digest")
			require.NoError(t, err)
			assert.Equal(t, digest.String()+"\n", string(got), yaml)
		})
	}
}

// FuzzEntry checks that any entry results either in a layer with a descriptor or in an error without outputs.
func FuzzEntry(f *testing.F) {
	for _, text := range []string{
		`{"path":"/x","from":"etc/a"}`, `{"path":"/x","dir":true}`, `{"path":"/x","from":"etc/a","mode":4294967295,"uid":-1}`,
		`{"path":"/x","from":"etc/run","binary":true}`, `{"path":"/\u0000","dir":true}`, `{`, `null`,
		`{"path":"/x","dir":true,"uid":9223372036854775807}`,
	} {
		f.Add(text, "linux")
		f.Add(text, "windows")
	}
	dir := f.TempDir()
	f.Chdir(dir)
	require.NoError(f, os.MkdirAll("etc", 0o755))
	require.NoError(f, os.WriteFile("etc/a", []byte("a"), 0o644))
	require.NoError(f, os.WriteFile("etc/run", []byte("#!/bin/sh\n"), 0o755))
	f.Fuzz(func(t *testing.T, text, system string) {
		out := t.TempDir()
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"layer", "-image", "hello", "-platform", "linux/amd64", "-os=" + system,
			"-content", "files",
			"-blob", out + "/blob", "-descriptor", out + "/descriptor", "-entry=" + text}, &stderr)
		left, err := os.ReadDir(out)
		require.NoError(t, err)
		if code == 0 {
			assert.Len(t, left, 2)
			assert.Empty(t, stderr.String())
			return
		}
		assert.Empty(t, left)
		assert.Contains(t, stderr.String(), "multiarch: image hello, linux/amd64: ")
	})
}
