"""Rules for multi-platform container images. `multiarch generate` writes calls to them.

    load("@multiarch//tools/rules:defs.bzl", "multiarch_image")

    multiarch_image(
        name = "hello",
        binary = "//app/hello",
        platforms = ["linux/amd64", "linux/arm64"],
    )

`bazel build :hello` builds an image index. Everything else in this directory is private.
"""

load(
    "//tools/rules/private:base.bzl",
    _multiarch_base_image = "multiarch_base_image",
    _multiarch_debian = "multiarch_debian",
)
load("//tools/rules/private:files.bzl", _multiarch_files = "multiarch_files")
load("//tools/rules/private:generated.bzl", _multiarch_generated_test = "multiarch_generated_test")
load("//tools/rules/private:load.bzl", _multiarch_load = "multiarch_load")
load("//tools/rules/private:macro.bzl", _multiarch_image = "multiarch_image")
load(
    "//tools/rules/private:providers.bzl",
    _BaseInfo = "BaseInfo",
    _FilesInfo = "FilesInfo",
    _ImageInfo = "ImageInfo",
    _IndexInfo = "IndexInfo",
    _LayerInfo = "LayerInfo",
)
load("//tools/rules/private:push.bzl", _multiarch_push = "multiarch_push")
load("//tools/rules/private:shared_layer.bzl", _multiarch_layer = "multiarch_layer")
load("//tools/rules/private:tags.bzl", _multiarch_tags = "multiarch_tags")
load("//tools/rules/private:tar_layer.bzl", _multiarch_tar_layer = "multiarch_tar_layer")

multiarch_image = _multiarch_image
multiarch_files = _multiarch_files
multiarch_layer = _multiarch_layer
multiarch_tar_layer = _multiarch_tar_layer
multiarch_debian = _multiarch_debian
multiarch_base_image = _multiarch_base_image
multiarch_tags = _multiarch_tags
multiarch_push = _multiarch_push
multiarch_load = _multiarch_load
multiarch_generated_test = _multiarch_generated_test

FilesInfo = _FilesInfo
LayerInfo = _LayerInfo
BaseInfo = _BaseInfo
ImageInfo = _ImageInfo
IndexInfo = _IndexInfo
