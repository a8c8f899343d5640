package debian_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/base/debian"
)

// testIndex lists packages as NAME VERSION[: FIELD: VALUE[; FIELD: VALUE]].
const testIndex = `
app 1.0: Depends: lib (>= 2), tool | other-tool
lib 2.5: Depends: libc
lib 1.0: Depends: missing-in-old
libc 2.41: Depends: libgcc
libgcc 14: Depends: libc (>= 2.0)
tool 1:0.9
other-tool 1.0
wants-other 1.0: Depends: tool | other-tool, needs-other
needs-other 1.0: Depends: hard
hard 1.0: Depends: other-tool
first-missing 1.0: Depends: nowhere | tool
pre 1.0: Pre-Depends: libc; Depends: tool
awk-user 1.0: Depends: awk
gawk 5.0: Provides: awk
mawk 1.3: Provides: awk; Priority: required
awk-user-with-gawk 1.0: Depends: gawk, awk
api-user 1.0: Depends: api (>= 3)
api-old 1.0: Provides: api (= 2)
api-new 1.0: Provides: api (= 3.1), another
api-without 1.0: Provides: api
real-and-virtual 1.0: Depends: tool2
tool2 1.0
aa-tool2 1.0: Provides: tool2
any-arch 1.0: Depends: lib:any (>= 2)
broken 1.0: Depends: lib (>= 3)
broken-deep 1.0: Depends: broken-mid
broken-mid 1.0: Depends: nowhere (= 1) | lib (<< 1)
strict 1.0: Depends: lib (= 2.5), lib (<< 2.6~), lib (>> 2.5~rc1)
old-lib 1.0: Depends: lib (<< 2)
self 1.0: Depends: self
mta-a 1.0: Provides: mta; Conflicts: mta
mta-b 1.0: Provides: mta; Conflicts: mta
breaks-old 1.0: Breaks: lib (<< 2)
breaks-new 1.0: Breaks: nowhere, lib (>= 2)
wants-breaker 1.0: Depends: breaks-new, lib
`

func index(t *testing.T) *debian.Index {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(strings.TrimSpace(testIndex)) {
		head, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		name, version, _ := strings.Cut(head, " ")
		var lines []string
		if rest != "" {
			lines = strings.Split(rest, "; ")
		}
		text.WriteString(stanza(name, version, "amd64", lines...))
	}
	text.WriteString(stanza("foreign", "1.0", "s390x"))
	x, err := debian.ParseIndex("stable", "amd64", []byte(text.String()))
	require.NoError(t, err)
	return x
}

func TestResolve(t *testing.T) {
	x := index(t)
	for name, c := range map[string]struct{ packages, exclude, want string }{
		"transitive dependencies with a cycle":          {"app", "", "app lib libc libgcc tool"},
		"newest version":                                {"lib", "", "lib libc libgcc"},
		"prefers a listed alternative":                  {"app other-tool", "", "app lib libc libgcc other-tool"},
		"prefers an alternative that is required later": {"wants-other", "", "hard needs-other other-tool wants-other"},
		"first alternative that exists":                 {"first-missing", "", "first-missing tool"},
		"Pre-Depends":                                   {"pre", "", "libc libgcc pre tool"},
		"most important provider":                       {"awk-user", "", "awk-user mawk"},
		"prefers a provider that is required":           {"awk-user-with-gawk", "", "awk-user-with-gawk gawk"},
		"prefers a listed provider":                     {"awk-user gawk", "", "awk-user gawk"},
		"versioned provider":                            {"api-user", "", "api-new api-user"},
		"prefers a real package to a provider":          {"real-and-virtual", "", "real-and-virtual tool2"},
		"any architecture":                              {"any-arch", "", "any-arch lib libc libgcc"},
		"several version constraints":                   {"strict", "", "lib libc libgcc strict"},
		"dependency on itself":                          {"self", "", "self"},
		"empty list":                                    {"", "", ""},
		"excluded dependency":                           {"app", "libc", "app lib tool"},
		"excluded without an alternative in its place":  {"app", "tool", "app lib libc libgcc"},
		"excluded without a provider in its place":      {"awk-user", "mawk", "awk-user"},
		"excluded with unsatisfiable dependencies":      {"broken-deep", "broken-mid", "broken-deep"},
		"excluded although it does not exist":           {"broken-deep", "nowhere", "broken-deep broken-mid"},
		"one of two conflicting packages":               {"mta-a", "", "mta-a"},
		"Breaks an older version":                       {"breaks-old lib", "", "breaks-old lib libc libgcc"},
		"excluded with a conflict":                      {"wants-breaker", "breaks-new", "lib libc libgcc wants-breaker"},
		"listed twice":                                  {"lib lib", "", "lib libc libgcc"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := x.Resolve(strings.Fields(c.packages), strings.Fields(c.exclude))
			require.NoError(t, err)
			var names []string
			for _, p := range got {
				names = append(names, p.Name)
				if p.Name == "lib" {
					assert.Equal(t, debian.Package{
						Name: "lib", Version: "2.5", Architecture: "amd64",
						Path: "pool/lib_2.5.deb", Size: 100, SHA256: sha([]byte("lib2.5")),
					}, p)
				}
			}
			assert.Equal(t, c.want, strings.Join(names, " "))
		})
	}
}

func TestResolveReportsAllProblems(t *testing.T) {
	x := index(t)
	list := []string{"broken-deep", "toool", "awk", "broken", "old-lib", "foreign", "hard"}
	_, err := x.Resolve(list, []string{"hard"})
	var all *debian.ResolveError
	require.ErrorAs(t, err, &all)
	assert.Equal(t, []string{
		`package "toool" not found in suite stable for amd64`,
		`package "awk" is a virtual package in suite stable for amd64`,
		`package "foreign" not found in suite stable for amd64`,
		`package "hard" is both listed and excluded`,
		`broken depends on lib (>= 3), but lib has version 2.5`,
		`old-lib depends on lib (<< 2), but lib has version 2.5`,
		`broken-mid (required by broken-deep) depends on nowhere (= 1) | lib (<< 1), but lib has version 2.5`,
	}, messages(all))
	assert.Contains(t, all.Hint(), `did you mean "tool"?`)
	assert.Contains(t, all.Hint(), "list a package that provides it: mawk, gawk")

	var unknown *debian.UnknownError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, "toool", unknown.Name)
	assert.LessOrEqual(t, len(unknown.Known), 5)
	var unsatisfiable *debian.UnsatisfiableError
	require.ErrorAs(t, err, &unsatisfiable)
	assert.NotEmpty(t, unsatisfiable.Hint())
}

func TestResolveRejectsConflicts(t *testing.T) {
	for packages, want := range map[string][]string{
		"mta-a mta-b": {
			"mta-a conflicts with mta, but mta-b 1.0 is also selected",
			"mta-b conflicts with mta, but mta-a 1.0 is also selected",
		},
		"wants-breaker": {"breaks-new conflicts with lib (>= 2), but lib 2.5 is also selected"},
	} {
		_, err := index(t).Resolve(strings.Fields(packages), nil)
		var all *debian.ResolveError
		require.ErrorAs(t, err, &all)
		assert.Equal(t, want, messages(all))
		assert.Equal(t, "list only one of them, or exclude one", all.Hint())
	}
}

func messages(e *debian.ResolveError) []string {
	var out []string
	for _, p := range e.Problems {
		out = append(out, p.Error())
	}
	return out
}

func TestUnsatisfiableErrorNamesRequiringPackages(t *testing.T) {
	_, err := index(t).Resolve([]string{"broken-deep"}, nil)
	var e *debian.UnsatisfiableError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, []string{"broken-mid", "broken-deep"}, e.Chain)
	assert.Equal(t, "nowhere (= 1) | lib (<< 1)", e.Relation)
	assert.Equal(t,
		"broken-mid (required by broken-deep) depends on nowhere (= 1) | lib (<< 1), but lib has version 2.5", e.Error())
}

func TestIndexRejectsInvalidStanzas(t *testing.T) {
	good := stanza("good", "1.0", "amd64")
	for name, c := range map[string]struct{ from, to, want string }{
		"name":          {"Package: good", "Package: ../good", `invalid package name "../good"`},
		"version":       {"Version: 1.0", "Version: 1/0", `invalid version "1/0"`},
		"path":          {"Filename: pool", "Filename: ../pool", `invalid path "../pool/good_1.0.deb"`},
		"absolute path": {"Filename: pool", "Filename: /pool", `invalid path "/pool/good_1.0.deb"`},
		"negative size": {"Size: 100", "Size: -1", "invalid size -1"},
		"missing size":  {"Size: 100\n", "", `invalid size ""`},
		"digest":        {"SHA256: ", "SHA256: x", "invalid SHA-256 digest"},
		"field":         {"Size: 100", "Size 100", `invalid field "Size 100"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := debian.ParseIndex("stable", "amd64", []byte(good+strings.Replace(good, c.from, c.to, 1)))
			assert.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "line 8")
		})
	}
}
