"""multiarch_generated_test: checks that generated targets match multiarch.yaml."""

load(":launch.bzl", "MULTIARCH", "launch")

def _generated_test_impl(ctx):
    args = ["generate", "--diff", "--resolve", struct(text = "--file=%s", file = ctx.file.config)]
    return [launch(ctx, args, [ctx.file.config])]

_generated_test = rule(
    implementation = _generated_test_impl,
    doc = "Fails if `multiarch generate` would change a file.",
    attrs = {
        "config": attr.label(mandatory = True, allow_single_file = True, doc = "The multiarch.yaml."),
    } | MULTIARCH,
    test = True,
)

def multiarch_generated_test(name, config, **kwargs):
    """Fails if the generated targets do not match multiarch.yaml, and prints the diff and the command to update them.

    The test reads BUILD files in the workspace itself, so it runs locally, outside the sandbox, and is never cached.

    Args:
        name: Name of the test.
        config: Label of `multiarch.yaml`.
        **kwargs: `visibility` and `tags`.
    """
    _generated_test(
        name = name,
        size = "small",
        config = config,
        tags = kwargs.pop("tags", []) + ["external", "local", "no-remote", "no-sandbox"],
        **kwargs
    )
