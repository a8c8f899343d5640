#!/bin/sh
# What tags and `created = "commit"` may say about the checkout: --workspace_status_command=tools/rules/workspace_status.sh
# The keys of multiarch.yaml's {{.Git}}, for Bazel. Without a commit it says nothing, and only what asks for it fails.
commit=$(git rev-parse --verify --quiet HEAD) || exit 0
echo "STABLE_GIT_COMMIT $commit"
echo "STABLE_GIT_SHORT_COMMIT $(echo "$commit" | cut -c1-7)"
echo "STABLE_GIT_BRANCH $(git symbolic-ref --quiet --short HEAD)"
echo "STABLE_GIT_TAG $(git describe --tags --abbrev=0 2>/dev/null)"
echo "STABLE_GIT_COMMIT_TIME $(TZ=UTC0 git show --no-patch --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD)"
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then echo "STABLE_GIT_DIRTY true"; else echo "STABLE_GIT_DIRTY false"; fi
