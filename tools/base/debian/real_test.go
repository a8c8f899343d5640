package debian_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/base/debian"
	"github.com/multiarch-build/multiarch/tools/build/cache"
	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

var (
	static   = []string{"base-files", "base-passwd", "ca-certificates", "netbase", "tzdata"}
	scripted = []string{ // what only the scripts of packages need
		"debconf", "dpkg", "gcc-14-base", "libacl1", "libdebconfclient0", "libmd0", "libpcre2-8-0", "libselinux1", "mawk", "media-types",
		"openssl", "openssl-provider-legacy", "readline-common", "tar",
	}
)

// realArchive is a suite on the mirrors that this machine's apt uses, or on Debian's own, with Debian's keys. Where
// there is none, the test is skipped, unless everything has to be there.
func realArchive(t testing.TB, suite string) *debian.Archive {
	t.Helper()
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("Bazel tests use no mirror; go test runs this")
	}
	mirrors, err := debian.Sources("/", nil)
	require.NoError(t, err)
	a := &debian.Archive{Mirrors: mirrors.Main, Suite: suite, IgnoreValidUntil: true} // mirrors of testing lag behind
	var gone *debian.UnavailableError
	if _, err := a.Release(t.Context()); errors.As(err, &gone) && os.Getenv("MULTIARCH_TEST_TOOLS") != "all" {
		t.Skipf("missing: a Debian mirror: %s", err)
	}
	return a
}

func fetched(t testing.TB, a *debian.Archive, store *cache.Store, arch string, packages, exclude []string) []debian.Deb {
	t.Helper()
	r, err := a.Release(t.Context())
	require.NoError(t, err)
	x, err := a.Index(t.Context(), r, arch)
	require.NoError(t, err)
	chosen, err := x.Resolve(packages, exclude)
	require.NoError(t, err)
	debs := make([]debian.Deb, len(chosen))
	group, ctx := errgroup.WithContext(t.Context())
	for i, p := range chosen {
		group.Go(func() (err error) {
			debs[i], err = a.Fetch(ctx, store, p)
			return err
		})
	}
	require.NoError(t, group.Wait())
	return debs
}

func namesOf(debs []debian.Deb) []string {
	var out []string
	for _, d := range debs {
		out = append(out, d.Package.Name)
	}
	return out
}

// The embedded keys verify the suites of today.
func TestRealKeys(t *testing.T) {
	for _, suite := range []string{"stable", "testing", "bookworm"} {
		t.Run(suite, func(t *testing.T) {
			r, err := realArchive(t, suite).Release(t.Context())
			require.NoError(t, err)
			assert.Contains(t, r.Architectures, "arm64")
		})
	}
}

func TestRealStatic(t *testing.T) {
	store := newStore(t)
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			a := realArchive(t, "stable")
			// Of these, only update-passwd is a program.
			debs := fetched(t, a, store, arch, static, append([]string{"libc6"}, scripted...))
			got := merged(t, debian.Options{Slim: true}, debs...)
			assert.Equal(t, static, namesOf(debs))
			assert.Greater(t, strings.Count(read(t, got["/etc/ssl/certs/ca-certificates.crt"]), "BEGIN CERTIFICATE"), 100)
			assert.Contains(t, read(t, got["/etc/passwd"]), "nonroot:x:65532:")
			assert.Contains(t, read(t, got["/usr/lib/os-release"]), "ID=debian")
			assert.Equal(t, "/run", got["/var/run"].Link)
			assert.Contains(t, got, "/usr/share/zoneinfo/Europe/Berlin")
		})
	}
}

func TestRealFlask(t *testing.T) {
	debs := fetched(t, realArchive(t, "stable"), newStore(t), "amd64", []string{"python3-flask"}, scripted)
	assert.Contains(t, namesOf(debs), "libgcc-s1")
	assert.NotContains(t, namesOf(debs), "gawk", "what is excluded is not replaced")
	assert.NotContains(t, namesOf(debs), "cdebconf")
	got := merged(t, debian.Options{Slim: true}, debs...)
	assert.Contains(t, got, "/usr/bin/python3")
	assert.Contains(t, got, "/usr/lib64/ld-linux-x86-64.so.2")
	assert.Equal(t, "usr/lib64", got["/lib64"].Link)
	assert.Contains(t, got, "/usr/share/doc/python3-flask/copyright")
	assert.Contains(t, got, "/var/lib/dpkg/status.d/python3-flask")
	t.Logf("%d packages, %d entries", len(debs), len(got))
}

// Bookworm has no package with the links of usrmerge.
func TestRealBookworm(t *testing.T) {
	debs := fetched(t, realArchive(t, "bookworm"), newStore(t), "amd64", []string{"base-files"}, scripted)
	got := merged(t, debian.Options{}, debs...)
	assert.Equal(t, "usr/bin", got["/bin"].Link)
	assert.Equal(t, layer.Dir, got["/usr/bin"].Kind)
}

func BenchmarkMerge(b *testing.B) {
	debs := fetched(b, realArchive(b, "stable"), newStore(b), "amd64", []string{"python3-flask"}, scripted)
	dir := b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		tree, err := debian.Merge(b.Context(), debs, debian.Options{Slim: true, TempDir: dir})
		require.NoError(b, err)
		require.NoError(b, tree.Close())
	}
}

func BenchmarkIndex(b *testing.B) {
	a := realArchive(b, "stable")
	r, err := a.Release(b.Context())
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := a.Index(b.Context(), r, "amd64")
		require.NoError(b, err)
	}
}
