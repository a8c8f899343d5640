"""Base images: Debian packages and images from registries, with one target per platform."""

load("//platforms:platforms.bzl", "PLATFORMS")
load(":layer.bzl", "ASSEMBLE", "arguments", "assemble", "write_layer")
load(":providers.bzl", "BaseInfo", "PackagesInfo")

def base_for(base, platform):
    """Returns the label of a base for one platform.

    Args:
        base: label of a multiarch_debian or multiarch_base_image, relative to the package being loaded.
        platform: OCI platform.

    Returns:
        a Label.
    """
    label = native.package_relative_label(base)
    return label.same_package_label("{}_{}".format(label.name, platform.replace("/", "_")))

def _packages_impl(ctx):
    return [
        DefaultInfo(files = depset(ctx.files.debs)),
        PackagesInfo(list = ctx.file.list, debs = depset(ctx.files.debs)),
    ]

debian_packages = rule(
    implementation = _packages_impl,
    doc = "Debian packages of one architecture, as locked in multiarch.lock. The repositories of the extension " +
          "`bases` contain these targets.",
    attrs = {
        "list": attr.label(
            mandatory = True,
            allow_single_file = [".json"],
            doc = "JSON: the packages' entries in multiarch.lock.",
        ),
        "debs": attr.label_list(allow_files = [".deb"], doc = "The package files, each named after its SHA-256."),
    },
    provides = [PackagesInfo],
)

_BASE = {
    "base": attr.string(mandatory = True, doc = "Name of the base in the lock and in the history of images."),
    "platform": attr.string(mandatory = True, doc = "OCI platform of the images built on this base."),
} | ASSEMBLE

def _check(ctx):
    if ctx.attr.platform not in PLATFORMS:
        fail("base {}: unknown platform \"{}\"; known: {}".format(
            ctx.attr.base,
            ctx.attr.platform,
            ", ".join(PLATFORMS),
        ))

def _per_platform(rule, name, base, attribute, by_platform, kwargs):
    """Declares one target per platform."""
    for platform, label in by_platform.items():
        rule(
            name = "{}_{}".format(name, platform.replace("/", "_")),
            base = base or name,
            platform = platform,
            **({attribute: label} | kwargs)
        )

def _debian_base_impl(ctx):
    _check(ctx)
    of = ctx.attr.packages[PackagesInfo]
    layers = {}
    for compression in ["gzip", "zstd"]:
        args = arguments(ctx, "layer")
        args.add("-content", "packages")
        args.add("-name", ctx.attr.base)
        args.add("-packages", of.list)
        args.add_all(of.debs, before_each = "-deb")
        if ctx.attr.slim:
            args.add("-slim")
        name = ctx.label.name + "." + compression
        inputs = depset([of.list], transitive = [of.debs])
        layers[compression] = [write_layer(ctx, name, args, inputs, compression)]
    return [
        DefaultInfo(files = depset([layers["gzip"][0].blob])),
        BaseInfo(layers = layers, config = None, layout = None, tree = None),
    ]

_debian_base = rule(
    implementation = _debian_base_impl,
    doc = "Layer with the Debian packages of one architecture. It is written once per compression that images use.",
    attrs = {
        "packages": attr.label(mandatory = True, providers = [PackagesInfo], doc = "The debian_packages target."),
        "slim": attr.bool(doc = "Leave out files that programs do not read, such as documentation."),
    } | _BASE,
    provides = [BaseInfo],
)

def multiarch_debian(name, packages, slim = False, base = None, **kwargs):
    """Merges Debian packages into one base layer. Maintainer scripts do not run.

    Declares one target per platform, such as `:name_linux_arm64`. Images use `:name` as their base.

    Args:
        name: Name of the base.
        packages: Maps OCI platforms to packages: `{"linux/arm64": "@multiarch_bases//python:arm64"}`. The extension
            `bases` of `//tools/rules:extensions.bzl` fetches the packages per Debian architecture.
        slim: Whether to leave out documentation, translations and rare character sets. Licences are kept.
        base: Name of the base in the history of images. Default: `name`.
        **kwargs: `visibility`, `tags` and `testonly`.
    """
    _per_platform(_debian_base, name, base, "packages", packages, {"slim": slim} | kwargs)

def _image_base_impl(ctx):
    _check(ctx)
    found = ctx.files.layout
    if len(found) != 1 or not found[0].is_directory:
        fail(("base {}, {}: expected {} to be one OCI image layout directory, got {} file(s); " +
              "use an image of oci.pull or the .layout of a multiarch_image").format(
            ctx.attr.base,
            ctx.attr.platform,
            ctx.attr.layout.label,
            len(found),
        ))
    config = ctx.actions.declare_file(ctx.label.name + ".base.json")
    tree = ctx.actions.declare_file(ctx.label.name + ".tree.json")
    args = arguments(ctx, "base")
    args.add("-name", ctx.attr.base)
    args.add("-platform", ctx.attr.platform)
    args.add_all(found, before_each = "-layout", expand_directories = False)
    args.add("-base", config)
    args.add("-tree", tree)
    inputs = list(found)
    if ctx.file.lock:
        args.add("-lock", ctx.file.lock)
        inputs.append(ctx.file.lock)
    assemble(
        ctx,
        mnemonic = "MultiarchBase",
        message = "Reading base image %{label}",
        inputs = inputs,
        outputs = [config, tree],
        args = args,
    )
    return [
        DefaultInfo(files = depset([config])),
        BaseInfo(layers = {}, config = config, layout = found[0], tree = tree),
    ]

_image_base = rule(
    implementation = _image_base_impl,
    doc = "Base image for one platform. Its layers are reused unchanged; they are read once to list the image's " +
          "directories.",
    attrs = {
        "layout": attr.label(mandatory = True, allow_files = True, doc = "OCI image layout of the base image."),
        "lock": attr.label(allow_single_file = True, doc = "multiarch.lock with the expected digest of the image."),
    } | _BASE,
    provides = [BaseInfo],
)

def multiarch_base_image(name, layouts, lock = None, base = None, **kwargs):
    """Uses existing images as a base, one per platform.

    Declares one target per platform, such as `:name_linux_arm64`. Images use `:name` as their base.

    Args:
        name: Name of the base.
        layouts: Maps OCI platforms to OCI image layouts of single images: `{"linux/arm64": "@distroless_linux_arm64"}`.
            A layout is either an image of rules_oci's `oci.pull`, pulled by manifest digest, or the `.layout` target of
            an image for one platform.
        lock: `multiarch.lock` with the expected digests. Without it, digests are not checked.
        base: Name of the base in the lock and in the history of images. Default: `name`.
        **kwargs: `visibility`, `tags` and `testonly`.
    """
    _per_platform(_image_base, name, base, "layout", layouts, {"lock": lock} | kwargs)
