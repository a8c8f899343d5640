"""multiarch_tags: where an image goes, known only at the moment of pushing."""

load(":layer.bzl", "ASSEMBLE", "arguments", "assemble")
load(":providers.bzl", "DestinationInfo", "LayoutInfo")
load(":status.bzl", "GIT_STATUS")

def _tags_impl(ctx):
    image = ctx.attr.image[LayoutInfo]
    args = arguments(ctx, "tags")
    args.add("-image", image.name)
    if ctx.attr.platform:
        args.add("-platform", ctx.attr.platform)
    if ctx.attr.repository:
        args.add("-repository", ctx.attr.repository)
    args.add_all(ctx.attr.templates, before_each = "-template")

    # Tags are not part of any image: they may depend on the commit without a rebuild of anything else.
    args.add("-status", ctx.file._git_status)
    args.add("-out-tags", ctx.outputs.out)
    args.add("-out-references", ctx.outputs.references)
    assemble(
        ctx,
        mnemonic = "MultiarchTags",
        message = "Filling tags %{label}",
        inputs = [ctx.file._git_status],
        outputs = [ctx.outputs.out, ctx.outputs.references],
        args = args,
    )
    return [
        DefaultInfo(files = depset([ctx.outputs.out])),
        DestinationInfo(
            layout = image.directory,
            name = image.name,
            platform = ctx.attr.platform,
            repository = ctx.attr.repository,
            tags = ctx.outputs.out,
        ),
    ]

_tags = rule(
    implementation = _tags_impl,
    doc = "Where an image goes.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [LayoutInfo], doc = "An image index, or one image of it."),
        "repository": attr.string(doc = "The repository with its registry."),
        "templates": attr.string_list(mandatory = True, doc = "The tags."),
        "platform": attr.string(doc = "The platform, where image is one image of an index."),
        "out": attr.output(mandatory = True, doc = "The tags, one a line."),
        "references": attr.output(mandatory = True, doc = "The references, repository:tag, one a line."),
    } | ASSEMBLE | GIT_STATUS,
    provides = [DestinationInfo],
)

def multiarch_tags(name, image, templates, repository = "", platform = "", **kwargs):
    """Says where an image goes: which repository, and which tags there.

    `:name` is a file with a tag a line, as `remote_tags` of rules_oci's `oci_push` wants it; `:name.references` has
    `repository:tag` a line, as `repo_tags` of `oci_load` does.

    Args:
        name: of the target.
        image: label of an image index, or of one image of it.
        templates: the tags. They may say `{{.Git.Commit}}`, `{{.Git.ShortCommit}}`, `{{.Git.Branch}}`, `{{.Git.Tag}}`, and
            what else multiarch.yaml allows; it is filled in from the workspace status (`--workspace_status_command`), whose
            keys are STABLE_GIT_COMMIT, STABLE_GIT_BRANCH, STABLE_GIT_TAG, STABLE_GIT_DESCRIBE, STABLE_GIT_COMMIT_TIME and
            STABLE_GIT_DIRTY. A tag that comes out empty is left out, as `{{.Git.Tag}}` is for a commit that bears no tag.
        repository: the repository with its registry. Without it, references begin with the image's name.
        platform: the OCI platform, where image is one image of an index.
        **kwargs: visibility, tags, testonly.
    """
    _tags(
        name = name,
        image = image,
        templates = templates,
        repository = repository,
        platform = platform,
        out = name + ".tags.txt",
        references = name + ".references.txt",
        **kwargs
    )
    native.filegroup(
        name = name + ".references",
        srcs = [name + ".references.txt"],
        **kwargs
    )
