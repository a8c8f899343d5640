"""The test that generated targets are those of multiarch.yaml."""

load(":launch.bzl", "MULTIARCH", "launch")

def _generated_test_impl(ctx):
    return [launch(ctx, [ctx.file.config])]

_generated_test = rule(
    implementation = _generated_test_impl,
    doc = "Fails where `multiarch generate` would write something.",
    attrs = {
        "config": attr.label(mandatory = True, allow_single_file = True, doc = "multiarch.yaml."),
        "data": attr.label_list(allow_files = True, doc = "What args name."),
    } | MULTIARCH,
    test = True,
)

def multiarch_generated_test(name, config, **kwargs):
    """Fails where the targets that stand in the workspace are not those of multiarch.yaml, and says how to mend it.

    It looks at the workspace itself and not at copies, because what it checks is build files: it runs outside of the
    sandbox, on this machine, every time.

    Args:
        name: of the target.
        config: label of multiarch.yaml.
        **kwargs: visibility, tags.
    """
    _generated_test(
        name = name,
        size = "small",
        config = config,
        data = [config],
        args = ["generate", "--check", "--resolve", "-f", "$(rootpath %s)" % config],
        tags = kwargs.pop("tags", []) + ["external", "local", "no-remote", "no-sandbox"],
        **kwargs
    )
