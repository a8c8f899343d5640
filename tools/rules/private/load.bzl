"""multiarch_load: loads images into a container engine."""

load(":launch.bzl", "MULTIARCH", "launch")
load(":providers.bzl", "DestinationInfo")
load(":push.bzl", "write_destinations")

def _load_impl(ctx):
    targets, files = write_destinations(ctx)
    return [launch(ctx, ["load", "--prebuilt", struct(text = "%s", file = targets)], files + [targets])]

_load = rule(
    implementation = _load_impl,
    doc = "Loads images into a container engine.",
    attrs = {
        "images": attr.label_list(
            mandatory = True,
            providers = [DestinationInfo],
            doc = "multiarch_tags targets to load.",
        ),
    } | MULTIARCH,
    executable = True,
)

def multiarch_load(name, images, **kwargs):
    """Loads images into podman, docker, nerdctl or containerd with `bazel run`, under the references of their tags.

    The image for this machine's platform is loaded. Pass flags of `multiarch load` after `--`, such as `--engine
    podman` or `--platform linux/arm64`.

    Args:
        name: Name of the target.
        images: Labels of `multiarch_tags` of image indexes.
        **kwargs: `visibility`, `tags` and `testonly`.
    """
    _load(name = name, images = images, **kwargs)
