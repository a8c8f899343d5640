"""multiarch_tags: repository and tags of an image, expanded when it is pushed."""

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

    # Tags are not part of the image, so they can depend on the commit without rebuilding anything else.
    args.add("-status", ctx.file._git_status)
    args.add("-out-tags", ctx.outputs.out)
    args.add("-out-references", ctx.outputs.references)
    assemble(
        ctx,
        mnemonic = "MultiarchTags",
        message = "Expanding tags %{label}",
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
    doc = "Repository and tags of an image.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [LayoutInfo], doc = "Image index, or one image of it."),
        "repository": attr.string(doc = "Repository, including the registry."),
        "templates": attr.string_list(mandatory = True, doc = "Tag templates."),
        "tag_prefix": attr.string(doc = "Prefix of the git tags that templates use."),
        "platform": attr.string(doc = "Platform, if image is one image of an index."),
        "out": attr.output(mandatory = True, doc = "The tags, one per line."),
        "references": attr.output(mandatory = True, doc = "The references (repository:tag), one per line."),
    } | ASSEMBLE | GIT_STATUS,
    provides = [DestinationInfo],
)

def multiarch_tags(name, image, templates, repository = "", platform = "", tag_prefix = "", **kwargs):
    """Declares the repository and the tags of an image.

    `:name` is a file with one tag per line, for `remote_tags` of rules_oci's `oci_push`. `:name.references` has one
    `repository:tag` per line, for `repo_tags` of `oci_load`.

    Args:
        name: Name of the target.
        image: Label of an image index, or of one image of it.
        templates: Tags, which may contain templates such as `{{.Git.Commit}}`, `{{.Git.ShortCommit}}`,
            `{{.Git.Branch}}`, `{{.Git.Tag}}` and the others that `multiarch.yaml` allows. They are expanded from the
            workspace status (`--workspace_status_command`): STABLE_GIT_COMMIT, STABLE_GIT_BRANCH, STABLE_GIT_TAG,
            STABLE_GIT_DESCRIBE, STABLE_GIT_COMMIT_TIME and STABLE_GIT_DIRTY. Empty tags are left out, such as
            `{{.Git.Tag}}` of a commit without a tag.
        repository: Repository, including the registry. Without it, references start with the image's name.
        platform: OCI platform, if `image` is one image of an index.
        tag_prefix: Prefix of the git tags that `{{.Git.Tag}}` and `{{.Git.Describe}}` use, such as `server/`. The keys
            of the workspace status are then STABLE_GIT_TAG_SERVER_2F and STABLE_GIT_DESCRIBE_SERVER_2F.
        **kwargs: `visibility`, `tags` and `testonly`.
    """
    _tags(
        name = name,
        image = image,
        templates = templates,
        repository = repository,
        platform = platform,
        tag_prefix = tag_prefix,
        out = name + ".txt",
        references = name + ".references.txt",
        **kwargs
    )
    native.filegroup(
        name = name + ".references",
        srcs = [name + ".references.txt"],
        **kwargs
    )
