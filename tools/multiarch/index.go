package main

import (
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/publish/release"
)

func (a *app) indexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Create image indexes from existing images",
		Example: `  multiarch index create onap/py-app onap/py-app-amd64 onap/py-app-arm64v8
  multiarch index create onap/py-app --remove linux/s390x`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.indexCreateCommand())
	return cmd
}

// indexFlags are the flags of index create.
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
		Short: "Create an image index from existing images",
		Long: `Join existing images and indexes into one image index. TARGET is a reference to a registry, or oci:DIR:NAME.
SRC is an image of multiarch.yaml, a reference, oci:DIR:NAME or an archive, as for "multiarch inspect".
Manifests stay byte for byte the same, whether they have OCI or docker types. Layers are mounted within a registry
and copied between registries. The tag moves last. Prints TARGET with its digest.

A single SRC that is an index is copied completely and keeps its digest. BuildKit's attestations are copied with
their images unless --no-attestations is set.

--append and --remove change the index at TARGET and keep its other entries. If another process changes it at the
same time, both changes are merged. With --create, the first --append creates the index.

The platform of an image comes from its config. SRC=PLATFORM overrides it, as in app:armv6=linux/arm/v6 or
app:ltsc2022=windows/amd64:10.0.20348.169. If SRC is an index with several images, it selects those images.

--annotation KEY=VALUE annotates the index. As in docker buildx, a prefix selects something else: index:,
manifest: (images, whose digests change), manifest-descriptor: (their entries) or index-descriptor: (the entry in
a layout). manifest[linux/arm64]: and manifest-descriptor[linux/arm64]: apply to one platform.`,
		Example: `  multiarch index create onap/py-app onap/py-app-amd64 onap/py-app-arm64v8
  multiarch index create onap/py-app --append --create onap/py-app-s390x
  multiarch index create onap/py-app --remove linux/s390x`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.createIndex(cmd, f, args) },
	}
	f.flags(cmd)
	cmd.Flags().StringSliceVarP(&f.tags, "tag", "t", nil, "tags in TARGET's repository, instead of TARGET's own tag")
	checkFlag(cmd.Flags(), "tag", reference.CheckTag)
	cmd.Flags().BoolVar(&f.append, "append", false, "add images to the index at TARGET")
	cmd.Flags().BoolVar(&f.create, "create", false, "with --append, create TARGET if it does not exist")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "with --append, replace images for the same platforms")
	cmd.Flags().StringSliceVar(&f.remove, "remove", nil,
		"platforms to remove from the index at TARGET, such as linux/s390x")
	cmd.Flags().StringArrayVar(&f.annotations, "annotation", nil, "annotation, as [TYPE[PLATFORM]:]KEY=VALUE")
	cmd.Flags().BoolVar(&f.noAttestations, "no-attestations", false, "do not copy attestations")
	cmd.Flags().BoolVar(&f.docker, "docker", false, "create a docker manifest list instead of an OCI index")
	cmd.Flags().BoolVar(&f.ignoreMissing, "ignore-missing", false,
		"skip sources, and images listed by them, that do not exist")
	cmd.Flags().StringVar(&f.spec, "spec", "", "read SRC, and TARGET if omitted, from a manifest-tool YAML file")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "print the index without pushing it")
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
	sources, err := release.OpenExisting(cmd.Context(), client, r.wanted, r.options)
	if err != nil {
		return err
	}
	c := indexChange{app: a, cmd: cmd, flags: f, client: client, request: r, sources: sources}
	if f.append || len(f.remove) > 0 {
		return c.change()
	}
	j, err := sources.Join(r.options)
	if err != nil {
		return err
	}
	return c.create(j)
}
