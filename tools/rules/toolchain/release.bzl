"""Programs of a release. The repository has none: the release script writes this file into the archive."""

# From platforms such as linux_amd64 to {program: struct(url, integrity)}. Other platforms build from source.
PROGRAMS = {}
