"""multiarch_push: pushes many images, all or nothing."""

load(":launch.bzl", "MULTIARCH", "launch", "runfile")
load(":providers.bzl", "DestinationInfo")

def write_destinations(ctx, config = "", joined = False):
    """Declares the file that lists the images of a rule, for the command's flag --prebuilt.

    Args:
        ctx: the context of a rule with the attribute images.
        config: path of the multiarch.yaml that declares the images, or empty.
        joined: whether to also release the images of config that join existing images.

    Returns:
        the list's File, and the list of File that it names.
    """
    destinations = [target[DestinationInfo] for target in ctx.attr.images]
    targets = ctx.actions.declare_file(ctx.label.name + ".targets.json")
    ctx.actions.write(targets, json.encode_indent({"config": config, "joined": joined, "targets": [
        {
            "name": d.name,
            "platform": d.platform,
            "repository": d.repository,
            "layout": "" if d.platform else runfile(ctx, d.layout),
            "tags": runfile(ctx, d.tags),
        }
        for d in destinations
    ]}))
    return targets, [d.tags for d in destinations] + [d.layout for d in destinations if not d.platform]

def _push_impl(ctx):
    targets, files = write_destinations(ctx, ctx.attr.config, ctx.attr.joined)
    return [launch(ctx, ["release", "--prebuilt", struct(text = "%s", file = targets)], files + [targets])]

_push = rule(
    implementation = _push_impl,
    doc = "Pushes images, all or nothing.",
    attrs = {
        "images": attr.label_list(
            mandatory = True,
            providers = [DestinationInfo],
            doc = "multiarch_tags targets to push.",
        ),
        "config": attr.string(doc = "Path of the multiarch.yaml that declares the images."),
        "joined": attr.bool(doc = "Whether to also push the images of config that join existing images."),
    } | MULTIARCH,
    executable = True,
)

def multiarch_push(name, images, config = "", joined = False, **kwargs):
    """Pushes many images with `bazel run`: first all blobs, then manifests and indexes by digest, then all tags.

    If a step before the tags fails, no tag changes. Pass flags of `multiarch release` after `--`. With `--registry` (or
    `MULTIARCH_REGISTRY`), nothing is written outside that registry. The built executable, `bazel-bin/images/push.exe`
    for example, can also be run directly and by other rules.

    Args:
        name: Name of the target.
        images: Labels of `multiarch_tags`.
        config: Path of the `multiarch.yaml` that declares the images, relative to the workspace root. The push reads
            further repositories and mirrors, immutable tags, registries and smoke tests from it.
        joined: Whether to also push the images of `config` that have `from:`, which are joined from existing images.
        **kwargs: `visibility`, `tags` and `testonly`.
    """
    _push(
        name = name,
        images = images,
        config = config,
        joined = joined,
        **kwargs
    )
