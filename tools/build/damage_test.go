package build_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/internal/testmatrix"
)

const small = `
version: 1
platforms: [linux/amd64]
images:
  one:
    go: {package: ./one}
    files: [{from: files, to: /etc/files}]
  two:
    go: {package: ./two}
    base: scratch
`

// smallTree returns a module whose programs link quickly.
func smallTree(t testing.TB) string {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":      "module example.com/services\n\ngo 1.24\n",
		"one/main.go": "package main\n\nfunc main() { println(\"one\") }\n",
		"two/main.go": "package main\n\nfunc main() { println(\"two\") }\n",
		"files/conf":  "a = 1\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

// entriesOf returns the files in a cache whose paths match.
func entriesOf(t *testing.T, dir string, wanted func(path string) bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && wanted(p) {
			found = append(found, p)
		}
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, found, dir)
	return found
}

// damages returns functions that damage a file. other is another file of the same kind.
func damages() map[string]func(file, other string) error {
	instead := func(place func(file string) error) func(file, other string) error {
		return func(file, _ string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return place(file)
		}
	}
	all := map[string]func(file, other string) error{
		"truncate":  func(f, _ string) error { return os.Truncate(f, 10) },
		"empty":     func(f, _ string) error { return os.Truncate(f, 0) },
		"append":    func(f, _ string) error { return grow(f) },
		"flip":      func(f, _ string) error { return flip(f) },
		"remove":    func(f, _ string) error { return os.Remove(f) },
		"swap":      swap,
		"copy over": copyOver,
		"directory": instead(func(f string) error { return os.MkdirAll(filepath.Join(f, "sub"), 0o755) }),
		"dead link": instead(func(f string) error { return os.Symlink("nowhere", f) }),
		"link to another": func(file, other string) error {
			return instead(func(f string) error { return os.Symlink(other, f) })(file, other)
		},
	}
	if fifo := makeFIFO; fifo != nil {
		all["FIFO"] = instead(fifo)
	}
	return all
}

func grow(file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("x")
	return err
}

func swap(file, other string) error {
	if err := os.Rename(file, file+".swapped"); err != nil {
		return err
	}
	if err := os.Rename(other, file); err != nil {
		return err
	}
	return os.Rename(file+".swapped", other)
}

func copyOver(file, other string) error {
	content, err := os.ReadFile(other)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o755)
}

// TestDamagedCacheIsRepaired damages every kind of entry in every way: alone, without records, and without blobs. The
// next build must repair the cache and give the same images.
func TestDamagedCacheIsRepaired(t *testing.T) {
	dir, cacheDir := smallTree(t), t.TempDir()
	build := func() map[string]string { return digests(t, run(t, dir, cacheDir, small)) }
	want := build()
	under := func(part string) func(string) bool {
		return func(p string) bool { return strings.Contains(p, part) }
	}
	kinds := map[string]func(path string) bool{
		"blobs":         under("/blobs/sha256/"),
		"layer records": under("/records/layer-"),
		"go records":    under("/records/go-"),
		"programs":      func(p string) bool { return slices.Contains([]string{"one", "two"}, filepath.Base(p)) },
		"locks":         func(p string) bool { return filepath.Base(p) == "lock" },
		"trim time":     func(p string) bool { return filepath.Base(p) == "trimmed" },
	}
	without := map[string][]string{"": nil, " without records": {"records"}, " without blobs": {"blobs"},
		" without both": {"records", "blobs"}}
	cases := 0
	for kind, wanted := range kinds {
		for damage, inflict := range damages() {
			for name, removed := range without {
				if !testmatrix.Full() && !quick(kind, damage, name) {
					continue
				}
				t.Run(kind+": "+damage+name, func(t *testing.T) {
					files := entriesOf(t, cacheDir, wanted)
					for i, file := range files {
						other := files[(i+1)%len(files)]
						if len(files) == 1 && (damage == "swap" || damage == "copy over" ||
							damage == "link to another") {
							t.Skip("there is only one file")
						}
						require.NoError(t, inflict(file, other))
						if damage == "swap" || damage == "copy over" || damage == "link to another" {
							break
						}
					}
					for _, r := range removed {
						require.NoError(t, os.RemoveAll(filepath.Join(cacheDir, r)))
					}
					assert.Equal(t, want, build())
					for _, file := range files {
						if info, err := os.Lstat(file); err == nil && kind != "programs" {
							assert.True(t, info.Mode().IsRegular(), "%s is repaired", file)
						}
					}
					cases++
				})
			}
		}
	}
	for _, dir := range []string{"blobs", "blobs/sha256", "records", "go", "tmp"} {
		for damage, inflict := range map[string]func(string) error{
			"removed":     func(string) error { return nil },
			"a file":      func(d string) error { return os.WriteFile(d, []byte("x"), 0o644) },
			"a dead link": func(d string) error { return os.Symlink("nowhere", d) },
		} {
			t.Run("directory "+dir+": "+damage, func(t *testing.T) {
				path := filepath.Join(cacheDir, dir)
				require.NoError(t, os.RemoveAll(path))
				require.NoError(t, inflict(path))
				assert.Equal(t, want, build())
				cases++
			})
		}
	}
	t.Logf("%d cases of damage", cases)
	assert.GreaterOrEqual(t, cases, 50)
}

// quick reports whether a case is not slow.
func quick(kind, damage, without string) bool {
	switch kind {
	case "locks", "trim time":
		return without == "" && (damage == "FIFO" || damage == "directory")
	case "programs":
		return without == " without blobs"
	}
	return without == ""
}

// TestRemovedCacheIsRecreated removes the cache at different times during a build.
func TestRemovedCacheIsRecreated(t *testing.T) {
	dir := smallTree(t)
	want := digests(t, run(t, dir, t.TempDir(), small))
	cacheDir := filepath.Join(t.TempDir(), "cache")
	for n := range 3 {
		t.Run(fmt.Sprintf("when image %d is finished", n), func(t *testing.T) {
			events := 0
			results, err := build.Run(t.Context(), planOf(t, small), build.Options{Dir: dir, Store: store(t,
				cacheDir), Progress: func(build.Event) {
				if events == n {
					assert.NoError(t, os.RemoveAll(cacheDir))
				}
				events++
			}})
			require.NoError(t, err)
			assert.Equal(t, want, digests(t, results))
		})
	}
	t.Run("before the images are read", func(t *testing.T) {
		results := run(t, dir, cacheDir, small)
		require.NoError(t, os.RemoveAll(cacheDir))
		assert.Equal(t, want, digests(t, results))
	})
	for _, when := range []string{"before", "after"} {
		t.Run(when+" the go command compiles", func(t *testing.T) {
			real, err := exec.LookPath("go")
			require.NoError(t, err)
			bin, done := t.TempDir(), filepath.Join(t.TempDir(), "done")
			remove := fmt.Sprintf("[ $1 != build ] || [ -e %[1]q ] || { touch %[1]q; rm -rf %[2]q; }", done, cacheDir)
			script := fmt.Sprintf("#!/bin/sh\n%s\n%q \"$@\"; code=$?\n%s\nexit $code\n", remove, real, "")
			if when == "after" {
				script = fmt.Sprintf("#!/bin/sh\n%q \"$@\"; code=$?\n%s\nexit $code\n", real, remove)
			}
			require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755))
			t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			assert.Equal(t, want, digests(t, run(t, dir, cacheDir, small)))
			assert.FileExists(t, done)
		})
	}
}

// TestDamageFoundWhileReadingIsRepaired damages programs and layers after the build, before the layers are read.
func TestDamageFoundWhileReadingIsRepaired(t *testing.T) {
	dir, cacheDir := smallTree(t), t.TempDir()
	want := digests(t, run(t, dir, cacheDir, small))
	results := run(t, dir, cacheDir, small)
	for _, file := range entriesOf(t, cacheDir, func(p string) bool {
		return strings.Contains(p, "/blobs/") || slices.Contains([]string{"one", "two"}, filepath.Base(p))
	}) {
		require.NoError(t, flip(file))
	}
	assert.Equal(t, want, digests(t, results))
}
