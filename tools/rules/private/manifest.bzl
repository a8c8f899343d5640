"""Arguments and files of an image manifest, shared by the rules for images and indexes."""

load(":providers.bzl", "ImageInfo")

def declare_manifest(ctx, name, recipe, args):
    """Declares the files of an image and adds the arguments that write them to args.

    Args:
        ctx: the rule's context.
        name: name of the files, without extension.
        recipe: RecipeInfo.
        args: Args of the action that writes the files.

    Returns:
        an ImageInfo, and the inputs and outputs of the action as lists of File.
    """
    manifest = ctx.actions.declare_file(name + ".manifest.json")
    config = ctx.actions.declare_file(name + ".config.json")
    descriptor = ctx.actions.declare_file(name + ".descriptor.json")
    args.add("-platform", recipe.platform)
    args.add("-settings", recipe.settings)
    args.add_all([l.descriptor for l in recipe.layers], before_each = "-layer")
    args.add_all(recipe.allow, before_each = "-allow")
    args.add("-manifest", manifest)
    args.add("-config", config)
    args.add("-descriptor", descriptor)
    inputs = recipe.checks + [recipe.settings] + [l.descriptor for l in recipe.layers]
    if recipe.base:
        args.add("-base", recipe.base.config)
        inputs.append(recipe.base.config)
    if recipe.commit_time:
        args.add("-commit-time-from", recipe.commit_time)
        inputs.append(recipe.commit_time)
    if recipe.status:
        args.add("-status", recipe.status)
        inputs.append(recipe.status)
    if recipe.tag_prefix:
        args.add("-tag-prefix", recipe.tag_prefix)
    image = ImageInfo(
        platform = recipe.platform,
        manifest = manifest,
        config = config,
        descriptor = descriptor,
        base = recipe.base,
        layers = recipe.layers,
    )
    return image, inputs, [manifest, config, descriptor]
