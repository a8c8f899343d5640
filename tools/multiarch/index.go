package main

import (
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
)

func (a *app) indexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Join existing images to an index",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.indexCreateCommand())
	return cmd
}

// indexFlags are those of index create.
type indexFlags struct {
	buildFlags
	tags        []string
	append      bool
	create      bool
	replace     bool
	remove      []string
	annotations []string
	spec        string
	dry         bool

	noAttestations bool
	docker         bool
	ignoreMissing  bool
}

func (a *app) indexCreateCommand() *cobra.Command {
	var f indexFlags
	cmd := &cobra.Command{
		Use:   "create TARGET SRC[=PLATFORM]... | create --spec FILE [TARGET]",
		Short: "Push an image index made of existing images",
		Long: `Join existing images and indexes to an image index and push it to TARGET, a reference to a registry, or write it to
oci:DIR:NAME. SRC is what multiarch inspect takes: an image of multiarch.yaml in dist, a reference, oci:DIR:NAME, an archive.
Manifests stay byte for byte what they are, of docker or OCI types; layers in other repositories of TARGET's registry are
mounted, and those in other registries copied; the tag moves last. Prints TARGET with its digest.

A single SRC that is an index is copied with everything in it, to the same digest. Attestations of BuildKit come along with
their images; --no-attestations leaves them out.

--append and --remove change the index that TARGET is, and leave the rest of it as it is. If another process changes it at
the same time, both changes are merged. --create lets the first --append create the index.

The platform of an image is read from its config. SRC=PLATFORM says that it is another, such as app:armv6=linux/arm/v6
or app:ltsc2022=windows/amd64:10.0.20348.169; of an index with several images it chooses those for that platform.

--annotation KEY=VALUE annotates the index. As in docker buildx, a type before KEY says what else: index:,
manifest-descriptor: (the entries of images), manifest: (the images, whose digests change), index-descriptor: (the entry
in a layout); manifest[linux/arm64]: and manifest-descriptor[linux/arm64]: are for one platform.`,
		Example: `  multiarch index create onap/py-app onap/py-app-amd64 onap/py-app-arm64v8
  multiarch index create onap/py-app --append --create onap/py-app-s390x
  multiarch index create onap/py-app --remove linux/s390x`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.createIndex(cmd, f, args) },
	}
	f.flags(cmd)
	cmd.Flags().StringSliceVarP(&f.tags, "tag", "t", nil, "tags in TARGET's repository instead of TARGET's own")
	checkFlag(cmd.Flags(), "tag", reference.CheckTag)
	cmd.Flags().BoolVar(&f.append, "append", false, "add to the index that TARGET is now")
	cmd.Flags().BoolVar(&f.create, "create", false, "with --append, create TARGET if it does not exist")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "with --append, take the place of images for the same platforms")
	cmd.Flags().StringSliceVar(&f.remove, "remove", nil, "take these platforms out of the index that TARGET is now, such as linux/s390x or windows/amd64:10.0.20348.169")
	cmd.Flags().StringArrayVar(&f.annotations, "annotation", nil, "annotations, [TYPE[PLATFORM]:]KEY=VALUE; TYPE is index (default), manifest, manifest-descriptor or index-descriptor")
	cmd.Flags().BoolVar(&f.noAttestations, "no-attestations", false, "leave out the attestations of the sources")
	cmd.Flags().BoolVar(&f.docker, "docker", false, "make a docker manifest list instead of an OCI index")
	cmd.Flags().BoolVar(&f.ignoreMissing, "ignore-missing", false, "leave out sources, and images that they list, that do not exist")
	cmd.Flags().StringVar(&f.spec, "spec", "", "a YAML file as manifest-tool push from-spec reads it, instead of SRC, and of TARGET")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "print the index, and push nothing")
	return cmd
}

func (a *app) createIndex(cmd *cobra.Command, f indexFlags, args []string) error {
	if err := f.checkMetadata(); err != nil {
		return err
	}
	client, err := a.clientHere(f.insecure, f.jobs)
	if err != nil {
		return err
	}
	client = client.Connected()
	r, err := a.indexRequest(cmd.Context(), f, client, args)
	if err != nil {
		return err
	}
	sources, err := openExisting(cmd.Context(), client, r.wanted, r.options)
	if err != nil {
		return err
	}
	c := indexChange{app: a, cmd: cmd, flags: f, client: client, request: r, sources: sources}
	if f.append || len(f.remove) > 0 {
		return c.change()
	}
	j, err := sources.join(r.options)
	if err != nil {
		return err
	}
	return c.create(j)
}
