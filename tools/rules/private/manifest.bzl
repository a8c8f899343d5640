"""What an image and an index both do: arguments and files for the manifest of one image."""

load(":providers.bzl", "ImageInfo")

def manifest_of(ctx, name, recipe, args):
    """Declares the files of an image, and adds to args what makes them.

    Args:
        ctx: the rule's context.
        name: what the files are called, before their endings.
        recipe: RecipeInfo.
        args: Args of the action that writes them.

    Returns:
        an ImageInfo, and the inputs and the outputs of the action, lists of File.
    """
    manifest = ctx.actions.declare_file(name + ".manifest.json")
    config = ctx.actions.declare_file(name + ".config.json")
    descriptor = ctx.actions.declare_file(name + ".descriptor.json")
    args.add("-platform", recipe.platform)
    args.add("-settings", recipe.settings)
    args.add_all([l.descriptor for l in recipe.layers], before_each = "-layer")
    args.add("-manifest", manifest)
    args.add("-config", config)
    args.add("-descriptor", descriptor)
    inputs = [recipe.settings] + [l.descriptor for l in recipe.layers]
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
