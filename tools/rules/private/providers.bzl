"""Providers. Metadata and blobs are separate files, so that actions that need only metadata do not depend on layers."""

FilesInfo = provider(
    doc = "Files and their paths in an image.",
    fields = {
        "groups": "list of structs: files (depset of File), prefix (removed from their short_path), to (absolute " +
                  "path), into (whether `to` is a directory and not the path of the only file), mode (int; 0 for the " +
                  "default), executable (list of File with mode 0755), uid, gid, owned_below (absolute path or " +
                  "empty; it and the directories below it get the same uid, gid and mode), directories (list of " +
                  "absolute paths to create), capabilities (string), portable (bool: whether all platforms share the " +
                  "files)",
    },
)

LayerInfo = provider(
    doc = "Layer of an image.",
    fields = {
        "blob": "File: the compressed tar archive",
        "descriptor": "File: JSON with mediaType, digest, size, diffID and createdBy",
        "tree": "File: JSON with the directories and links of the image up to this layer, or of a shared layer alone",
        "os": "string: linux or windows, which have different formats",
    },
)

PlatformLayersInfo = provider(
    doc = "Layer of images for several platforms.",
    fields = {"layers": "dict from OCI platform to LayerInfo; platforms may share one"},
)

PackagesInfo = provider(
    doc = "Debian packages of one architecture.",
    fields = {
        "list": "File: JSON with the packages' entries in multiarch.lock",
        "debs": "depset of File: the packages, each named after its SHA-256",
    },
)

BaseInfo = provider(
    doc = "Base of an image for one platform: either layers built by Bazel, or an image from a registry.",
    fields = {
        "layers": "dict from compression (gzip, zstd) to a list of LayerInfo, from the bottom up; empty for an image " +
                  "from a registry",
        "config": "File: JSON with the config and the layers of the base image; None for layers built by Bazel",
        "layout": "File: the OCI image layout (a directory) with its layers; None for layers built by Bazel",
        "tree": "File: JSON with its directories and links; None for layers built by Bazel",
    },
)

RecipeInfo = provider(
    doc = "Inputs of an image for one platform.",
    fields = {
        "platform": "string: the OCI platform, such as linux/arm/v7",
        "settings": "File: JSON with the settings of the config and the annotations of the manifest",
        "base": "BaseInfo of a base image from a registry, whose layers are below the others, or None",
        "layers": "list of LayerInfo, from the bottom up",
        "commit_time": "File: the workspace status with the commit time; None if the creation time does not depend " +
                       "on it",
        "status": "File: the workspace status for git templates; None if there are none",
        "tag_prefix": "string: the prefix of the git tags that templates use, or empty",
        "allow": "list of string: the kinds of verify findings to accept",
        "checks": "list of File: outputs of checks that must succeed before the image is assembled",
    },
)

ImageInfo = provider(
    doc = "Image for one platform.",
    fields = {
        "platform": "string: the OCI platform, such as linux/arm/v7",
        "manifest": "File: the image manifest",
        "config": "File: the image config",
        "descriptor": "File: JSON with the descriptor of the manifest",
        "base": "BaseInfo of a base image from a registry, whose layers are below the others, or None",
        "layers": "list of LayerInfo, from the bottom up",
    },
)

IndexInfo = provider(
    doc = "Image index.",
    fields = {
        "index": "File: the image index",
        "descriptor": "File: JSON with the descriptor of the index",
        "digest": "File: one line with the digest of the index",
        "images": "list of ImageInfo, in the order of the platforms argument",
    },
)

LayoutInfo = provider(
    doc = "Image or index as a directory. It is built only if requested.",
    fields = {
        "directory": "File: an OCI image layout (a directory)",
        "name": "string: the name of the image",
    },
)

DestinationInfo = provider(
    doc = "Destination of an image.",
    fields = {
        "layout": "File: the OCI image layout to push",
        "name": "string: the name of the image",
        "platform": "string: the platform of a single image of an index, or empty",
        "repository": "string: the repository, or empty",
        "tags": "File: the tags, one per line",
    },
)
