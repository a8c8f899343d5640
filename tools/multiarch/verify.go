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
		verbose  bool
		allow    []string
	)
	cmd := &cobra.Command{
		Use:   "verify REF",
		Short: "Check that the images of an index are what they claim",
		Long: `Read all bytes of an image index and check every image: the descriptor, the config and the programs
are for the same platform; the entrypoint exists, is complete and executable; its interpreter and its shared
libraries exist; the user and the working directory exist; digests, sizes and diffIDs match the content.
verify prints one line per problem and exits with 4 if there is one. What cannot be proved is a note: notes
are grouped by kind unless --verbose is set. oci:DIR, or an archive without a name, selects all images in it.
build, push, release, load and archive make the same checks before they write or publish anything.

Every problem except damage has a kind. --allow, or allow: in multiarch.yaml, permits problems by kind:

  missing-entrypoint   the entrypoint, or the command, does not exist
  invalid-entrypoint   the entrypoint is not executable, or not a program
  wrong-platform       a program is for another platform, or needs a newer processor
  incomplete-program   a program or library is truncated
  missing-interpreter  the interpreter of a script, or the dynamic loader, does not exist
  missing-library      a shared library of a program that the image starts does not exist
  unknown-user         the user or group is not in /etc/passwd or /etc/group
  missing-workdir      the working directory does not exist
  not-examined         a file or layer is too large or too complex to check`,
		Example: `  multiarch verify registry.example.com/team/hello:v1
  multiarch verify oci:dist
  multiarch verify oci:dist:hello --verbose
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
			return a.verify(cmd.Context(), sources, verifyOptions{allow: kinds, json: asJSON, verbose: verbose})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as JSON; an array if there are several images")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print every note instead of one line per kind")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and untrusted certificates")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "permit these kinds of problems")
	checkFlag(cmd.Flags(), "allow", func(word string) error { return new(finding.Kind).UnmarshalText([]byte(word)) })
	return cmd
}

// namedVerdict is the verdict for one of several images.
type namedVerdict struct {
	Name string `json:"name"`
	*verify.Verdict
}

// verifyOptions are the flags of verify.
type verifyOptions struct {
	allow         []finding.Kind
	json, verbose bool
}

// verify verifies images and prints their problems and notes.
func (a *app) verify(ctx context.Context, sources []*source.Source, o verifyOptions) error {
	var verdicts []namedVerdict
	problems := 0
	for _, s := range sources {
		verdict, err := verify.Source(ctx, s)
		if err != nil {
			return err
		}
		verdict.Allow(o.allow...)
		a.permit(s.Name, verdict)
		problems += len(verdict.Problems)
		verdicts = append(verdicts, namedVerdict{s.Name, verdict})
	}
	for _, v := range verdicts {
		prefix := ""
		if len(verdicts) > 1 {
			prefix = v.Name + ": "
		}
		notes := v.Summary()
		if o.verbose {
			notes = nil
			for _, n := range v.Notes {
				notes = append(notes, n.String())
			}
		}
		for _, n := range notes {
			a.terminal.note("note: %s%s", prefix, n)
		}
		if len(notes) < len(v.Notes) {
			a.terminal.note("hint: --verbose prints every note")
		}
		for _, problem := range v.Problems {
			if !o.json {
				a.terminal.result("%s%s", prefix, problem)
			}
		}
		switch {
		case len(v.Problems) > 0:
		case v.Children == 1:
			a.terminal.note("%s: verified 1 image", v.Name)
		default:
			a.terminal.note("%s: verified %d images", v.Name, v.Children)
		}
	}
	var err error
	switch {
	case o.json && len(verdicts) == 1:
		err = a.terminal.json(verdicts[0].Verdict)
	case o.json:
		err = a.terminal.json(verdicts)
	}
	if err == nil && problems > 0 {
		return errDiffers
	}
	return err
}

// permit turns problems into notes if multiarch.yaml allows them for an image of the project's layout.
func (a *app) permit(name string, verdict *verify.Verdict) {
	dir, image, named := strings.Cut(strings.TrimPrefix(name, "oci:"), ":")
	file, err := a.find()
	if !named || !strings.HasPrefix(name, "oci:") || err != nil ||
		!samePath(dir, filepath.Join(config.Top(file), layoutDir)) {
		return
	}
	c, err := readConfig(file)
	if err != nil {
		return // a file that cannot be read allows nothing
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

// samePath reports whether two paths are equal. It does not resolve symbolic links.
func samePath(a, b string) bool {
	x, err1 := filepath.Abs(a)
	y, err2 := filepath.Abs(b)
	return err1 == nil && err2 == nil && x == y
}
