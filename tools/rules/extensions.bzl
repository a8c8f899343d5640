"""The module extension that fetches the Debian packages of multiarch.lock.

    bases = use_extension("@multiarch//tools/rules:extensions.bzl", "bases", dev_dependency = True)
    bases.lock(file = "//images:multiarch.lock")
    use_repo(bases, "multiarch_bases")

`@multiarch_bases//python:arm64` are then the packages of the base python for Debian's arm64. They are fetched where an
image needs them, by their SHA-256.
"""

load("//tools/rules/private:fetch.bzl", _bases = "bases")

bases = _bases
