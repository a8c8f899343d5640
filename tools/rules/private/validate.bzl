"""Validation actions: every build verifies its images. No other action waits for them."""

load(":layer.bzl", "arguments")

VALIDATE = {
    "_validate": attr.label(
        default = Label("//tools/rules/toolchain:validate"),
        executable = True,
        cfg = "exec",
        doc = "Program that verifies images.",
    ),
}

def validate(ctx, image, allow):
    """Declares the action that verifies an image. Its output belongs in the output group _validation.

    Args:
        ctx: the rule's context.
        image: ImageInfo.
        allow: list of the kinds of findings to accept.

    Returns:
        File, written after the image has been verified.
    """
    out = ctx.actions.declare_file(ctx.label.name + ".verified")
    args = arguments(ctx, "-image=" + ctx.attr.image)
    args.add("-descriptor", image.descriptor)
    args.add("-manifest", image.manifest)
    args.add("-config", image.config)
    args.add_all([l.descriptor for l in image.layers], before_each = "-layer")
    args.add_all([l.blob for l in image.layers], before_each = "-blob")
    inputs = [image.descriptor, image.manifest, image.config]
    inputs += [l.descriptor for l in image.layers] + [l.blob for l in image.layers]
    if image.base:
        args.add_all([image.base.layout], before_each = "-base-layout", expand_directories = False)
        inputs.append(image.base.layout)
    args.add_all(allow, before_each = "-allow")
    args.add("-out", out)
    ctx.actions.run(
        executable = ctx.executable._validate,
        arguments = [args],
        inputs = inputs,
        outputs = [out],
        mnemonic = "MultiarchVerify",
        progress_message = "Verifying image %{label}",
        env = {},
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return out
