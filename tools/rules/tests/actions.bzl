"""Tests of the actions of an image: what they read, and which layers platforms share."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//tools/rules:defs.bzl", "ImageInfo", "IndexInfo")

def _ours(env):
    """Returns the target's own actions by mnemonic, after checking their environment and program."""
    by = {}
    for action in analysistest.target_actions(env):
        if not action.mnemonic.startswith("Multiarch"):
            continue
        by.setdefault(action.mnemonic, []).append(action)
        asserts.equals(env, {}, action.env)
        program = "validate" if action.mnemonic == "MultiarchVerify" else "assemble"
        asserts.true(
            env,
            action.argv[0].split("/")[-1].startswith(program),
            "action does not run the assembler directly: " + action.argv[0],
        )
    return by

def _reads_no_blob(env, action):
    for file in action.inputs.to_list():
        asserts.false(
            env,
            file.basename.endswith((".tar.gz", ".tar.zst")),
            "metadata must be built from descriptors, but reads " + file.path,
        )

def _image_actions_impl(ctx):
    env = analysistest.begin(ctx)
    by = _ours(env)
    asserts.equals(env, ["MultiarchImage", "MultiarchLayer", "MultiarchLayout", "MultiarchVerify"], sorted(by))
    asserts.equals(env, 1, len(by["MultiarchImage"]))
    asserts.equals(env, 1, len(by["MultiarchLayer"]), "the image must declare only the program's layer itself")
    _reads_no_blob(env, by["MultiarchImage"][0])
    _reads_no_blob(env, by["MultiarchLayer"][0])
    target = analysistest.target_under_test(env)
    asserts.equals(env, by["MultiarchVerify"][0].outputs.to_list(), target[OutputGroupInfo]._validation.to_list())
    image = target[ImageInfo]
    names = [l.blob.basename[:-len(".tar.gz")] for l in image.layers]
    asserts.equals(env, ["static_gzip", ctx.attr.program], [names[0], names[2]])
    asserts.true(env, names[1].startswith("files."), names[1])
    return analysistest.end(env)

image_actions_test = analysistest.make(_image_actions_impl, attrs = {"program": attr.string()})

def _index_actions_impl(ctx):
    env = analysistest.begin(ctx)
    by = _ours(env)
    asserts.equals(env, ["MultiarchIndex", "MultiarchLayout"], sorted(by))
    asserts.equals(env, 1, len(by["MultiarchIndex"]))
    _reads_no_blob(env, by["MultiarchIndex"][0])
    amd64, arm64 = analysistest.target_under_test(env)[IndexInfo].images
    asserts.equals(env, ["linux/amd64", "linux/arm64"], [amd64.platform, arm64.platform])
    asserts.equals(env, amd64.layers[:2], arm64.layers[:2], "the platforms must share the base and the files")
    asserts.false(env, amd64.layers[2] == arm64.layers[2], "each platform must have its own program")
    return analysistest.end(env)

index_actions_test = analysistest.make(_index_actions_impl)

def _shared_layers_impl(ctx):
    env = analysistest.begin(ctx)
    images = analysistest.target_under_test(env)[IndexInfo].images
    blobs = {image.layers[ctx.attr.layer].blob: None for image in images + ctx.attr.other[IndexInfo].images}
    asserts.equals(env, ctx.attr.blobs, len(blobs), "number of blobs")
    return analysistest.end(env)

# Counts the blobs of a layer in all images of two indexes.
shared_layers_test = analysistest.make(_shared_layers_impl, attrs = {
    "blobs": attr.int(),
    "layer": attr.int(),
    "other": attr.label(providers = [IndexInfo]),
})
