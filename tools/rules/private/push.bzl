"""multiarch_push: many images at once, all or nothing."""

load(":launch.bzl", "MULTIARCH", "launch")
load(":providers.bzl", "DestinationInfo")

def _push_impl(ctx):
    where = [target[DestinationInfo] for target in ctx.attr.images]
    targets = ctx.outputs.targets
    ctx.actions.write(targets, json.encode_indent({"config": ctx.attr.config, "targets": [
        {
            "name": d.name,
            "platform": d.platform,
            "repository": d.repository,
            "layout": "" if d.platform else d.layout.short_path,
            "tags": d.tags.short_path,
        }
        for d in where
    ]}))
    return [launch(ctx, [targets] + [d.tags for d in where] + [d.layout for d in where if not d.platform])]

_push = rule(
    implementation = _push_impl,
    doc = "Pushes images, all or nothing.",
    attrs = {
        "images": attr.label_list(mandatory = True, providers = [DestinationInfo], doc = "What goes where."),
        "config": attr.string(doc = "The multiarch.yaml that the images come from."),
        "targets": attr.output(mandatory = True, doc = "The file that says so."),
    } | MULTIARCH,
    executable = True,
)

def multiarch_push(name, images, config = "", **kwargs):
    """Pushes many images, `bazel run`: first all blobs, then manifests and indexes by their digests, then all tags.

    What fails before the tags leaves every tag where it was. Flags of `multiarch release` can be given behind `--`.
    With `--registry` (or `MULTIARCH_REGISTRY`) nothing is written outside that registry.

    Args:
        name: of the target.
        images: labels of `multiarch_tags`.
        config: path of the `multiarch.yaml` that the images come from, from the top of the workspace. It is read when they are
            pushed: for further repositories and mirrors, immutable tags, registries and smoke tests.
        **kwargs: visibility, tags, testonly.
    """
    _push(
        name = name,
        images = images,
        config = config,
        targets = name + ".targets.json",
        args = ["release", "--prebuilt", "$(rootpath :%s.targets.json)" % name],
        **kwargs
    )
