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
    if ctx.attr.tag_prefix:
        args.add("-tag-prefix", ctx.attr.tag_prefix)
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
        "tag_prefix": attr.string(doc = "The prefix of the git tags that templates look at."),
        "platform": attr.string(doc = "The platform, where image is one image of an index."),
        "out": attr.output(mandatory = True, doc = "The tags, one a line."),
        "references": attr.output(mandatory = True, doc = "The references, repository:tag, one a line."),
    } | ASSEMBLE | GIT_STATUS,
    provides = [DestinationInfo],
)

def multiarch_tags(name, image, templates, repository = "", platform = "", tag_prefix = "", **kwargs):
    """Says where an image goes: which repository, and which tags there.

    `:name` is a file with a tag a line, as `remote_tags` of rules_oci's `oci_push` wants it; `:name.references` has
    `repository:tag` a line, as `repo_tags` of `oci_load` does.

    Args:
        name: of the target.
        image: label of an image index, or of one image of it.
        templates: the tags. They may say `{{.Git.Commit}}`, `{{.Git.ShortCommit}}`, `{{.Git.Branch}}`, `{{.Git.Tag}}`, and
            what else multiarch.yaml allows; it is filled in from the workspace status (`--workspace_status_command`), whose
            keys are STABLE_GIT_COMMIT, STABLE_GIT_BRANCH, STABLE_GIT_TAG, STABLE_GIT_DESCRIBE, STABLE_GIT_COMMIT_TIME and
            STABLE_GIT_DIRTY. A tag that is empty is left out, such as `{{.Git.Tag}}` of a commit that has no tag.
        repository: the repository with its registry. Without it, references begin with the image's name.
        platform: the OCI platform, where image is one image of an index.
        tag_prefix: the prefix of the git tags that `{{.Git.Tag}}` and `{{.Git.Describe}}` look at, such as `server/`. The keys
            of the workspace status are then STABLE_GIT_TAG_SERVER_2F and STABLE_GIT_DESCRIBE_SERVER_2F.
        **kwargs: visibility, tags, testonly.
    """
    _tags(
        name = name,
        image = image,
        templates = templates,
        repository = repository,
        platform = platform,
        tag_prefix = tag_prefix,
        out = name + ".tags.txt",
        references = name + ".references.txt",
        **kwargs
    )
    native.filegroup(
        name = name + ".references",
        srcs = [name + ".references.txt"],
        **kwargs
    )
