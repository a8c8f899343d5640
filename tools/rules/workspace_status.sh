#!/bin/sh
# Prints the git information for tags, templates and `created = "commit"`:
#   build --workspace_status_command=tools/rules/workspace_status.sh
# The keys correspond to {{.Git}} in multiarch.yaml. Unknown values are left out; targets that use them fail.
# The values are the same as those of the embedded engine (tools/internal/git).
commit=$(git rev-parse --verify --quiet 'HEAD^{commit}') || exit 0

# The branch. If GitLab, GitHub or Jenkins checked out a commit without a branch, the branch that they report.
if ! branch=$(git symbolic-ref --quiet --short HEAD); then
  branch=
  if [ "$CI_COMMIT_SHA" = "$commit" ]; then
    branch=$CI_COMMIT_BRANCH
  elif [ "$GITHUB_SHA" = "$commit" ] && [ "$GITHUB_REF_TYPE" = branch ]; then
    branch=$GITHUB_REF_NAME
  elif [ "$GIT_COMMIT" = "$commit" ]; then
    branch=$BRANCH_NAME
  fi
fi

# choose PREFIX COMMIT [BUILT...]: prints the tag of a commit with the given prefix, without the prefix: the tag that is
# being built, or the highest semantic version. Full versions precede partial ones (v3), which precede other tags.
choose() {
  git for-each-ref --points-at="$2" --format='%(refname:strip=2)' refs/tags |
    LC_ALL=C awk -v prefix="$1" -v built="$3" '
    function kind(t) {
      sub(/^v/, "", t)
      if (t ~ /^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)([-+].*)?$/) {
        rest = t
        sub(/^[0-9]+\.[0-9]+\.[0-9]+/, "", rest)
        build = ""
        if (at = index(rest, "+")) {
          build = substr(rest, at + 1)
          rest = substr(rest, 1, at - 1)
          if (!identifiers(build, 0)) return 0
        }
        if (rest != "" && !identifiers(substr(rest, 2), 1)) return 0
        return 2
      }
      return t ~ /^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?$/ ? 1 : 0
    }
    function identifiers(s, strict, n, i, part) {
      n = split(s, part, ".")
      if (n == 0) return 0
      for (i = 1; i <= n; i++)
        if (part[i] !~ /^[0-9A-Za-z-]+$/ || strict && part[i] ~ /^0[0-9]+$/) return 0
      return 1
    }
    # number compares digits of any length.
    function number(a, b) {
      if (length(a) != length(b)) return length(a) < length(b) ? -1 : 1
      return a "" < b "" ? -1 : a "" > b ""
    }
    function version(a, b, i, m, n, x, y, p, q, r) {
      sub(/^v/, "", a); sub(/^v/, "", b)
      sub(/\+.*/, "", a); sub(/\+.*/, "", b)
      p = q = ""
      if (i = index(a, "-")) { p = substr(a, i + 1); a = substr(a, 1, i - 1) }
      if (i = index(b, "-")) { q = substr(b, i + 1); b = substr(b, 1, i - 1) }
      split(a, x, "."); split(b, y, ".")
      for (i = 1; i <= 3; i++)
        if (r = number(x[i] == "" ? "0" : x[i], y[i] == "" ? "0" : y[i])) return r
      if (p == q) return 0
      if (p == "" || q == "") return p == "" ? 1 : -1
      m = split(p, x, "."); n = split(q, y, ".")
      for (i = 1; i <= m && i <= n; i++) {
        if (x[i] "" == y[i] "") continue
        if (x[i] ~ /^[0-9]+$/ && y[i] ~ /^[0-9]+$/) return number(x[i], y[i])
        if (x[i] ~ /^[0-9]+$/) return -1
        if (y[i] ~ /^[0-9]+$/) return 1
        return x[i] "" < y[i] "" ? -1 : 1
      }
      return m < n ? -1 : m > n
    }
    # natural compares digits as numbers.
    function natural(a, b, x, y, r) {
      while (a != "" && b != "") {
        x = run(a); y = run(b)
        a = substr(a, length(x) + 1); b = substr(b, length(y) + 1)
        if (x ~ /^[0-9]/ && y ~ /^[0-9]/) {
          sub(/^0+/, "", x); sub(/^0+/, "", y)
          r = number(x, y)
        } else r = x "" < y "" ? -1 : x "" > y ""
        if (r) return r
      }
      return (a != "") - (b != "")
    }
    function run(s) {
      if (!match(s, /^[0-9]+/)) match(s, /^[^0-9]+/)
      return substr(s, 1, RLENGTH)
    }
    function above(a, b, r) {
      if (r = kind(a) - kind(b)) return r > 0
      if (r = kind(a) ? version(a, b) : natural(a, b)) return r > 0
      if (r = gsub(/\+/, "+", a) - gsub(/\+/, "+", b)) return r < 0
      return a "" > b ""
    }
    BEGIN { count = split(built, wanted, " ") }
    index($0, prefix) == 1 {
      tag = substr($0, length(prefix) + 1)
      if (tag == "" || prefix != "" && index(tag, "/")) next
      for (i = 1; i <= count; i++) if ($0 == wanted[i] && (!first || i < first)) { first = i; chosen = tag }
      if (!seen++ || above(tag, best)) best = tag
    }
    END { print first ? chosen : best }'
}

[ "$GITHUB_REF_TYPE" = tag ] || GITHUB_REF_NAME=
built="$CI_COMMIT_TAG $TAG_NAME $GITHUB_REF_NAME"
dirty=
if status=$(git --no-optional-locks status --porcelain --untracked-files=no); then
  dirty=false
  [ -z "$status" ] || dirty=true
fi
shallow=$(git rev-parse --is-shallow-repository)

# describe PREFIX TAG: prints the tag of the commit, the nearest earlier tag and its distance, or the short commit.
describe() {
  version=$2
  if [ -z "$version" ]; then
    if [ -n "$1" ]; then
      described=$(git describe --tags --always --long --abbrev=7 --match="$1*" --exclude="$1*/*")
    else
      described=$(git describe --tags --always --long --abbrev=7)
    fi
    nearest=$(echo "$described" | sed 's/-[0-9]*-g[0-9a-f]*$//')
    version=$described
    if [ "$nearest" != "$described" ]; then
      # That commit may have several tags, of which git picks any.
      version=$(choose "$1" "refs/tags/$nearest^{commit}")${described#"$nearest"}
    fi
  fi
  [ "$dirty" = false ] || version=$version-dirty
  echo "$version"
}

# suffix PREFIX: prints the suffix of keys for a prefix, such as _SERVER_2F for server/.
suffix() {
  [ -z "$1" ] || printf '%s' "$1" | LC_ALL=C awk '
    BEGIN { for (i = 1; i < 128; i++) code[sprintf("%c", i)] = i }
    {
      out = "_"
      for (i = 1; i <= length($0); i++) {
        c = substr($0, i, 1)
        if (c ~ /[a-z]/) out = out toupper(c)
        else out = out (c ~ /[0-9]/ ? c : sprintf("_%02X", code[c]))
      }
      print out
    }'
}

echo "STABLE_GIT_COMMIT $commit"
echo "STABLE_GIT_SHORT_COMMIT $(echo "$commit" | cut -c1-7)"
echo "STABLE_GIT_BRANCH $branch"
commit_time=$(TZ=UTC0 git -c log.showSignature=false show --no-patch --no-notes \
  --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD)
echo "STABLE_GIT_COMMIT_TIME $commit_time"
[ -z "$dirty" ] || echo "STABLE_GIT_DIRTY $dirty"

# Prefixes are set by tag_prefix: in multiarch.yaml and tag_prefix = in BUILD files.
prefixes=$(git grep -h -o -E "tag_prefix( *=|:) *[\"']?[A-Za-z0-9_@+./-]+" -- \
  ':/*multiarch.yaml' ':/*BUILD.bazel' ':/*BUILD' |
  sed "s/.*[=: \"']//" | sort -u)
for prefix in '' $prefixes; do
  suffix=$(suffix "$prefix")
  tag=$(choose "$prefix" HEAD "$built")
  if [ "$shallow" = true ] && [ -z "$tag" ] && [ -z "$warned" ]; then
    echo "multiarch: the clone is shallow, so that tags may be missing; run: git fetch --unshallow --tags" >&2
    warned=yes
  fi
  echo "STABLE_GIT_TAG$suffix $tag"
  [ -z "$dirty" ] || echo "STABLE_GIT_DESCRIBE$suffix $(describe "$prefix" "$tag")"
done
