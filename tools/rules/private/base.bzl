"""Bases: what images stand on that the assembler does not bring along, one target a platform."""

load("//platforms:platforms.bzl", "PLATFORMS")
load(":layer.bzl", "ASSEMBLE", "arguments", "assemble", "write_layer")
load(":providers.bzl", "BaseInfo", "PackagesInfo")

def base_on(base, platform):
    """Returns the label of a base on a platform.

    Args:
        base: label of a multiarch_debian or multiarch_base_image, as it is written in the package that is being loaded.
        platform: the OCI platform.

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
    doc = "Debian packages of one architecture, as multiarch.lock has them. The repositories of the extension `bases` consist of these.",
    attrs = {
        "list": attr.label(mandatory = True, allow_single_file = [".json"], doc = "The packages, as they stand in multiarch.lock."),
        "debs": attr.label_list(allow_files = [".deb"], doc = "The packages themselves, each called by its SHA-256."),
    },
    provides = [PackagesInfo],
)

_BASE = {
    "base": attr.string(mandatory = True, doc = "What the base is called in the lock and in the history of images."),
    "platform": attr.string(mandatory = True, doc = "The OCI platform of the images that stand on it."),
} | ASSEMBLE

def _check(ctx):
    if ctx.attr.platform not in PLATFORMS:
        fail("base {}: unknown platform \"{}\"; known: {}".format(ctx.attr.base, ctx.attr.platform, ", ".join(PLATFORMS)))

def _each(rule, name, base, attribute, by_platform, kwargs):
    """Declares the target of each platform."""
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
        args.add("-holds", "packages")
        args.add("-name", ctx.attr.base)
        args.add("-packages", of.list)
        args.add_all(of.debs, before_each = "-deb")
        if ctx.attr.slim:
            args.add("-slim")
        layers[compression] = [write_layer(ctx, ctx.label.name + "." + compression, args, depset([of.list], transitive = [of.debs]), compression)]
    return [
        DefaultInfo(files = depset([layers["gzip"][0].blob])),
        BaseInfo(layers = layers, config = None, layout = None, tree = None),
    ]

_debian_base = rule(
    implementation = _debian_base_impl,
    doc = "The layer of Debian packages of one architecture. It is written once for each compression that an image asks for.",
    attrs = {
        "packages": attr.label(mandatory = True, providers = [PackagesInfo], doc = "The packages."),
        "slim": attr.bool(doc = "Leave out what programs do not read."),
    } | _BASE,
    provides = [BaseInfo],
)

def multiarch_debian(name, packages, slim = False, base = None, **kwargs):
    """A base of Debian packages, merged into one layer: no script of theirs runs.

    The targets are `:name_linux_arm64` (one a platform). Images take `:name` as their base.

    Args:
        name: of the base.
        packages: `{"linux/arm64": "@multiarch_bases//python:arm64"}`: by OCI platform, the packages that the extension
            `bases` of `//tools/rules:extensions.bzl` fetches for a Debian architecture.
        slim: leave out documentation, translations and rare character sets; licences stay.
        base: what the base is called in the history of images; by default the name.
        **kwargs: visibility, tags, testonly.
    """
    _each(_debian_base, name, base, "packages", packages, {"slim": slim} | kwargs)

def _image_base_impl(ctx):
    _check(ctx)
    found = ctx.files.layout
    if len(found) != 1 or not found[0].is_directory:
        fail("base {}, {}: {} is {} files, and not the directory of an OCI image layout; give an image of oci.pull or a .layout of multiarch_image".format(
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
        message = "Reading base %{label}",
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
    doc = "An image of one platform that others are built on. Its layers stay as they are; they are read once, to list its directories.",
    attrs = {
        "layout": attr.label(mandatory = True, allow_files = True, doc = "The OCI image layout."),
        "lock": attr.label(allow_single_file = True, doc = "The multiarch.lock that says which image it has to be."),
    } | _BASE,
    provides = [BaseInfo],
)

def multiarch_base_image(name, layouts, lock = None, base = None, **kwargs):
    """A base that is an image, for each platform one.

    The targets are `:name_linux_arm64` (one a platform). Images take `:name` as their base.

    Args:
        name: of the base.
        layouts: `{"linux/arm64": "@distroless_linux_arm64"}`: by OCI platform, the OCI image layout of one image, as rules_oci's
            `oci.pull` has it for the digest of a manifest, or the `.layout` of an image for one platform.
        lock: the multiarch.lock that says which images they have to be; without one they are taken as they are.
        base: what the base is called in the lock and in the history of images; by default the name.
        **kwargs: visibility, tags, testonly.
    """
    _each(_image_base, name, base, "layout", layouts, {"lock": lock} | kwargs)
