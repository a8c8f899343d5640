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
	static = []string{"base-files", "base-passwd", "ca-certificates", "netbase", "tzdata"}
	// scriptOnly lists packages that only maintainer scripts need.
	scriptOnly = []string{
		"debconf", "dpkg", "gcc-14-base", "libacl1", "libdebconfclient0", "libmd0", "libpcre2-8-0", "libselinux1", "mawk",
		"media-types", "openssl", "openssl-provider-legacy", "readline-common", "tar",
	}
)

// realArchive returns a suite on the mirrors of this machine's apt, or on Debian's. If they are unavailable, it skips
// the test, unless all tools are required.
func realArchive(t testing.TB, suite string) *debian.Archive {
	t.Helper()
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("Bazel tests use no mirror; go test runs this")
	}
	mirrors, err := debian.Sources("/", nil)
	require.NoError(t, err)
	// Mirrors of testing may be outdated.
	a := &debian.Archive{Mirrors: mirrors.Main, Suite: suite, IgnoreValidUntil: true}
	var unavailable *debian.UnavailableError
	if _, err := a.Release(t.Context()); errors.As(err, &unavailable) && os.Getenv("MULTIARCH_TEST_TOOLS") != "all" {
		t.Skipf("missing: a Debian mirror: %s", err)
	}
	return a
}

// fetch resolves and downloads packages.
func fetch(
	t testing.TB, a *debian.Archive, store *cache.Store, arch string, packages, exclude []string,
) []debian.Deb {
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

func TestEmbeddedKeysVerifyCurrentSuites(t *testing.T) {
	for _, suite := range []string{"stable", "testing", "bookworm"} {
		t.Run(suite, func(t *testing.T) {
			r, err := realArchive(t, suite).Release(t.Context())
			require.NoError(t, err)
			assert.Contains(t, r.Architectures, "arm64")
		})
	}
}

func TestMergeRealBase(t *testing.T) {
	store := newStore(t)
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			a := realArchive(t, "stable")
			// The only program in these packages is update-passwd.
			debs := fetch(t, a, store, arch, static, append([]string{"libc6"}, scriptOnly...))
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

func TestMergeRealFlask(t *testing.T) {
	debs := fetch(t, realArchive(t, "stable"), newStore(t), "amd64", []string{"python3-flask"}, scriptOnly)
	assert.Contains(t, namesOf(debs), "libgcc-s1")
	assert.NotContains(t, namesOf(debs), "gawk", "an excluded package must not be replaced")
	assert.NotContains(t, namesOf(debs), "cdebconf")
	got := merged(t, debian.Options{Slim: true}, debs...)
	assert.Contains(t, got, "/usr/bin/python3")
	assert.Contains(t, got, "/usr/lib64/ld-linux-x86-64.so.2")
	assert.Equal(t, "usr/lib64", got["/lib64"].Link)
	assert.Contains(t, got, "/usr/share/doc/python3-flask/copyright")
	assert.Contains(t, got, "/var/lib/dpkg/status.d/python3-flask")
	t.Logf("%d packages, %d entries", len(debs), len(got))
}

// No package of bookworm has the links of usrmerge.
func TestMergeAddsLinksForRealBookworm(t *testing.T) {
	debs := fetch(t, realArchive(t, "bookworm"), newStore(t), "amd64", []string{"base-files"}, scriptOnly)
	got := merged(t, debian.Options{}, debs...)
	assert.Equal(t, "usr/bin", got["/bin"].Link)
	assert.Equal(t, layer.Dir, got["/usr/bin"].Kind)
}

func BenchmarkMerge(b *testing.B) {
	debs := fetch(b, realArchive(b, "stable"), newStore(b), "amd64", []string{"python3-flask"}, scriptOnly)
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
