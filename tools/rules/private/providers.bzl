"""What the rules tell each other. Metadata and blobs are files of their own, so that no action reads a layer to say what
it is."""

FilesInfo = provider(
    doc = "Source files, and where they go in an image.",
    fields = {
        "groups": "list of structs: files (depset of File), prefix (of their short_path, cut off), to (absolute path), " +
                  "into (whether files go below to, or the only one is to), mode (int, 0 keeps whether a file is executable), uid, gid, " +
                  "owned_below (absolute path, empty for none: it and the directories below it are of the same uid, gid and mode), " +
                  "directories (list of absolute paths to create), capabilities (string)",
    },
)

LayerInfo = provider(
    doc = "A layer of an image.",
    fields = {
        "blob": "File: the compressed tar",
        "descriptor": "File: JSON with mediaType, digest, size, diffID and createdBy",
        "tree": "File: JSON, the directories and links of the image up to this layer",
    },
)

PackagesInfo = provider(
    doc = "Debian packages of one architecture.",
    fields = {
        "list": "File: JSON, the packages as multiarch.lock has them",
        "debs": "depset of File: the packages, each called by its SHA-256",
    },
)

BaseInfo = provider(
    doc = "What an image for one platform stands on: layers that are made here, or an image from a registry.",
    fields = {
        "layers": "dict of lists of LayerInfo from the bottom up, by how they are compressed (gzip, zstd); empty for an image",
        "config": "File: JSON, the config of the base and what its layers are; None where it is no image",
        "layout": "File: the OCI image layout (a directory) that has its layers; None where it is no image",
        "tree": "File: JSON, its directories and links; None where it is no image",
    },
)

RecipeInfo = provider(
    doc = "What an image for one platform is made of.",
    fields = {
        "platform": "string: the OCI platform, such as linux/arm/v7",
        "settings": "File: JSON, the settings of the config and the annotations of the manifest",
        "base": "BaseInfo of an image from a registry, whose layers are below the others; None where there is none",
        "layers": "list of LayerInfo, from the bottom up",
        "commit_time": "File: the workspace status that says when the image was made; None where it says nothing about it",
        "status": "File: the workspace status for templates about the checkout; None if there are none",
        "tag_prefix": "string: the prefix of the git tags that templates look at, or empty",
    },
)

ImageInfo = provider(
    doc = "An image for one platform.",
    fields = {
        "platform": "string: the OCI platform, such as linux/arm/v7",
        "manifest": "File: the image manifest",
        "config": "File: the image config",
        "descriptor": "File: JSON, the descriptor of the manifest",
        "base": "BaseInfo of an image from a registry, whose layers are below the others; None where there is none",
        "layers": "list of LayerInfo, from the bottom up",
    },
)

IndexInfo = provider(
    doc = "An image index.",
    fields = {
        "index": "File: the image index",
        "descriptor": "File: JSON, the descriptor of the index",
        "digest": "File: the digest of the index, a line",
        "images": "list of ImageInfo, in the order given",
    },
)

LayoutInfo = provider(
    doc = "An image or index as a directory. It is made only for those who ask for it.",
    fields = {
        "directory": "File: an OCI image layout (a directory)",
        "name": "string: what the image is called",
    },
)

DestinationInfo = provider(
    doc = "Where an image goes.",
    fields = {
        "layout": "File: the OCI image layout of what goes there",
        "name": "string: what the image is called",
        "platform": "string: the platform where it is one image of an index, or empty",
        "repository": "string: the repository, or empty",
        "tags": "File: the tags, one a line",
    },
)
