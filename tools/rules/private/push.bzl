"""multiarch_push: pushes many images, all or nothing."""

load(":launch.bzl", "MULTIARCH", "launch")
load(":providers.bzl", "DestinationInfo")

def _push_impl(ctx):
    destinations = [target[DestinationInfo] for target in ctx.attr.images]
    targets = ctx.outputs.targets
    ctx.actions.write(targets, json.encode_indent({"config": ctx.attr.config, "targets": [
        {
            "name": d.name,
            "platform": d.platform,
            "repository": d.repository,
            "layout": "" if d.platform else d.layout.short_path,
            "tags": d.tags.short_path,
        }
        for d in destinations
    ]}))
    return [launch(ctx, [targets] + [d.tags for d in destinations] + [d.layout for d in destinations if not d.platform])]

_push = rule(
    implementation = _push_impl,
    doc = "Pushes images, all or nothing.",
    attrs = {
        "images": attr.label_list(mandatory = True, providers = [DestinationInfo], doc = "multiarch_tags targets to push."),
        "config": attr.string(doc = "Path of the multiarch.yaml that declares the images."),
        "targets": attr.output(mandatory = True, doc = "JSON file that lists images and destinations."),
    } | MULTIARCH,
    executable = True,
)

def multiarch_push(name, images, config = "", **kwargs):
    """Pushes many images with `bazel run`: first all blobs, then manifests and indexes by digest, then all tags.

    If a step before the tags fails, no tag changes. Pass flags of `multiarch release` after `--`. With `--registry` (or
    `MULTIARCH_REGISTRY`), nothing is written outside that registry.

    Args:
        name: Name of the target.
        images: Labels of `multiarch_tags`.
        config: Path of the `multiarch.yaml` that declares the images, relative to the workspace root. The push reads further
            repositories and mirrors, immutable tags, registries and smoke tests from it.
        **kwargs: `visibility`, `tags` and `testonly`.
    """
    _push(
        name = name,
        images = images,
        config = config,
        targets = name + ".targets.json",
        args = ["release", "--prebuilt", "$(rootpath :%s.targets.json)" % name],
        **kwargs
    )
