package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/examine/verify"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/finding"
)

func (a *app) verifyCommand() *cobra.Command {
	var (
		asJSON   bool
		insecure bool
		allow    []string
	)
	cmd := &cobra.Command{
		Use:   "verify REF",
		Short: "Check that the images of an index are what they claim",
		Long: `Read everything a reference stands for and check every image: descriptor, config and programs name the same platform;
the entrypoint exists, is complete and executable; its interpreter and its shared libraries exist; the user and the
working directory exist; digests, sizes and diffIDs are those of the bytes. Prints a line per problem and exits with 4
if there is one. oci:DIR and an archive without a name stand for all images in it. build, push, release, load and
archive make the same checks before they write or publish anything.

A problem has one of these kinds, unless it is damage; --allow, and allow: in multiarch.yaml, permit it by its kind:

  missing-entrypoint   the entrypoint, or the command, does not exist
  invalid-entrypoint   it is not executable, or not a program
  wrong-platform       a program is for another platform, or needs a newer processor
  incomplete-program   the end of a program or library is missing
  missing-interpreter  what a #! line asks for, or the dynamic loader, does not exist
  missing-library      a shared library of what is started does not exist
  unknown-user         user: is a name that is not in /etc/passwd or /etc/group
  missing-workdir      the working directory does not exist
  not-examined         something is too large or too involved to be checked`,
		Example: `  multiarch verify registry.example.com/team/hello:v1
  multiarch verify oci:dist
  multiarch verify oci:dist:hello --json
  multiarch verify oci:dist:tools --allow missing-interpreter`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, err := a.openAll(cmd.Context(), insecure, args[0])
			if err != nil {
				return err
			}
			for _, s := range sources {
				defer s.Close()
			}
			var kinds []finding.Kind
			for _, name := range allow {
				kinds = append(kinds, finding.Kind(name))
			}
			return a.verify(cmd.Context(), sources, kinds, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as JSON; an array if there are several images")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and untrusted certificates")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "kinds of problems to permit")
	checkFlag(cmd.Flags(), "allow", func(word string) error { return new(finding.Kind).UnmarshalText([]byte(word)) })
	return cmd
}

// namedVerdict is the verdict on one of several images.
type namedVerdict struct {
	Name string `json:"name"`
	*verify.Verdict
}

// verify verifies images and prints what is wrong with any of them.
func (a *app) verify(ctx context.Context, sources []*source.Source, allow []finding.Kind, asJSON bool) error {
	var verdicts []namedVerdict
	problems := 0
	for _, s := range sources {
		verdict, err := verify.Source(ctx, s)
		if err != nil {
			return err
		}
		verdict.Allow(allow...)
		a.permit(s.Name, verdict)
		problems += len(verdict.Problems)
		verdicts = append(verdicts, namedVerdict{s.Name, verdict})
	}
	for _, v := range verdicts {
		prefix := ""
		if len(verdicts) > 1 {
			prefix = v.Name + ": "
		}
		for _, note := range v.Notes {
			a.terminal.note("note: %s%s", prefix, note)
		}
		for _, problem := range v.Problems {
			if !asJSON {
				a.terminal.result("%s%s", prefix, problem)
			}
		}
		switch {
		case len(v.Problems) > 0:
		case v.Children == 1:
			a.terminal.note("%s: 1 image is what it says it is", v.Name)
		default:
			a.terminal.note("%s: %d images are what they say they are", v.Name, v.Children)
		}
	}
	var err error
	switch {
	case asJSON && len(verdicts) == 1:
		err = a.terminal.json(verdicts[0].Verdict)
	case asJSON:
		err = a.terminal.json(verdicts)
	}
	if err == nil && problems > 0 {
		return errDiffers
	}
	return err
}

// permit makes notes of the problems that multiarch.yaml allows an image of the project's own layout.
func (a *app) permit(name string, verdict *verify.Verdict) {
	dir, image, named := strings.Cut(strings.TrimPrefix(name, "oci:"), ":")
	file, err := a.find()
	if !named || !strings.HasPrefix(name, "oci:") || err != nil || !samePath(dir, filepath.Join(config.Top(file), layoutDir)) {
		return
	}
	c, err := readConfig(file)
	if err != nil {
		return // nothing is allowed by a file that cannot be read
	}
	permits := newPermits(c, image)
	kept := []verify.Problem{}
	for _, p := range verdict.Problems {
		if permits.take(p) {
			verdict.Notes = append(verdict.Notes, p)
		} else {
			kept = append(kept, p)
		}
	}
	verdict.Problems = kept
}

// samePath tells whether two paths name one place, as far as their texts say.
func samePath(a, b string) bool {
	x, err1 := filepath.Abs(a)
	y, err2 := filepath.Abs(b)
	return err1 == nil && err2 == nil && x == y
}
