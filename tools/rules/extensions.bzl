"""Module extension that fetches the Debian packages listed in multiarch.lock.

    bases = use_extension("@multiarch//tools/rules:extensions.bzl", "bases", dev_dependency = True)
    bases.lock(file = "//images:multiarch.lock")
    use_repo(bases, "multiarch_bases")

`@multiarch_bases//python:arm64` then contains the packages of the base python for Debian's arm64. Bazel fetches them
only if an image needs them, and verifies their SHA-256.
"""

load("//tools/rules/private:fetch.bzl", _bases = "bases")

bases = _bases
