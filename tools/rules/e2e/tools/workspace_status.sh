#!/bin/sh
# What tags and `created = "commit"` may say about the checkout: --workspace_status_command=tools/rules/workspace_status.sh
# The keys of multiarch.yaml's {{.Git}}, for Bazel. Without a commit it says nothing, and only what asks for it fails.
commit=$(git rev-parse --verify --quiet HEAD) || exit 0

# The tag is one that the commit itself bears: of several the one that GitHub, GitLab or Jenkins say they are building,
# or else the highest version. The suffix lets v1.0.0 come before v1.0.0-rc1.
[ "$GITHUB_REF_TYPE" = tag ] || GITHUB_REF_NAME=
tag=
for candidate in $(git -c versionsort.suffix=- tag --points-at HEAD --sort=-version:refname); do
  tag=${tag:-$candidate}
done
for built in "$GITHUB_REF_NAME" "$TAG_NAME" "$CI_COMMIT_TAG"; do
  for candidate in $(git tag --points-at HEAD); do
    if [ "$candidate" = "$built" ]; then tag=$candidate; fi
  done
done
describe=${tag:-$(git describe --tags --always --abbrev=7)}
dirty=false
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
  dirty=true
  describe=$describe-dirty
fi

echo "STABLE_GIT_COMMIT $commit"
echo "STABLE_GIT_SHORT_COMMIT $(echo "$commit" | cut -c1-7)"
echo "STABLE_GIT_BRANCH $(git symbolic-ref --quiet --short HEAD)"
echo "STABLE_GIT_TAG $tag"
echo "STABLE_GIT_DESCRIBE $describe"
echo "STABLE_GIT_COMMIT_TIME $(TZ=UTC0 git show --no-patch --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD)"
echo "STABLE_GIT_DIRTY $dirty"
