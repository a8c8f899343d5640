package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/bazel"
	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
	"github.com/multiarch-build/multiarch/tools/spec/config"
)

func (a *app) generateCommand() *cobra.Command {
	var check, asDiff, resolve bool
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write the Bazel targets of all images",
		Long: `Write the Bazel targets of all images into the BUILD files of the workspace. Rules, attributes and
comments that were added by hand stay, as does anything marked "# keep". Targets of removed images are
deleted. Prints the name of each file that it writes.`,
		Example: `  multiarch generate
  multiarch generate --check
  multiarch generate --diff`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if check && asDiff {
				return usagef("use one of them", "--check and --diff are mutually exclusive")
			}
			root, files, err := a.generated(resolve)
			if err != nil {
				return err
			}
			switch {
			case asDiff:
				return a.showDiff(files)
			case check:
				return a.showStale(files)
			}
			return a.write(root, files)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; list stale files, and exit with 4 if there are any")
	cmd.Flags().BoolVar(&resolve, "resolve", false, "resolve symbolic links of the configuration file, for Bazel tests")
	_ = cmd.Flags().MarkHidden("resolve")
	cmd.Flags().BoolVar(&asDiff, "diff", false, "write nothing; print a diff, and exit with 4 if there is one")
	return cmd
}

// generated returns the files that are stale.
func (a *app) generated(resolve bool) (root string, stale []bazel.File, err error) {
	// bazel run changes the working directory and passes the original one in this variable.
	if dir := os.Getenv("BUILD_WORKING_DIRECTORY"); dir != "" {
		if err := os.Chdir(dir); err != nil {
			return "", nil, err
		}
	}
	file, err := a.find()
	if err == nil && resolve {
		file, err = filepath.EvalSymlinks(file)
	}
	if err != nil {
		return "", nil, err
	}
	c, err := readConfig(file)
	if err != nil {
		return "", nil, err
	}
	w, err := bazel.Resolve(bazel.Project{Config: c, File: file, Top: config.Top(file)})
	if err != nil {
		return "", nil, err
	}
	files, err := w.Files()
	if err != nil {
		return "", nil, err
	}
	for _, f := range files {
		if f.Stale() {
			stale = append(stale, f)
		}
	}
	for _, n := range w.Notes {
		a.terminal.note("note: %s", n)
	}
	return w.Root, stale, nil
}

func (a *app) showDiff(stale []bazel.File) error {
	for _, f := range stale {
		from, to := "a/"+f.Path, "b/"+f.Path
		if f.Old == nil {
			from = "/dev/null"
		}
		if f.New == nil {
			to = "/dev/null"
		}
		if _, err := a.terminal.out.Write(diff.Diff(from, f.Old, to, f.New)); err != nil {
			return err
		}
	}
	return a.differs(stale)
}

func (a *app) showStale(stale []bazel.File) error {
	for _, f := range stale {
		a.terminal.result("%s", f.Path)
	}
	return a.differs(stale)
}

// differs returns an error if files are stale, after a hint about how to update them.
func (a *app) differs(stale []bazel.File) error {
	if len(stale) == 0 {
		return nil
	}
	fmt.Fprintln(a.terminal.err, "the generated Bazel files are stale\n"+
		"hint: run: multiarch generate (or bazel run @multiarch//tools/multiarch -- generate)")
	return errDiffers
}

// write replaces files. It writes all new contents to disk before it replaces the first file, so that a full disk or a
// read-only directory leaves everything unchanged.
func (a *app) write(root string, stale []bazel.File) (err error) {
	type replacement struct{ from, to string }
	var ready []replacement
	defer func() {
		for _, r := range ready {
			err = errors.Join(err, ignoreMissing(os.Remove(r.from)))
		}
	}()
	for _, f := range stale {
		target := filepath.Join(root, filepath.FromSlash(f.Path))
		if resolved, err := filepath.EvalSymlinks(target); err == nil {
			target = resolved // a link stays one
		}
		if f.New == nil {
			continue
		}
		temp, err := stageBeside(target, f.New)
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
		ready = append(ready, replacement{temp, target})
	}
	for _, r := range ready {
		if err := os.Rename(r.from, r.to); err != nil {
			return fmt.Errorf("replacing %s: %w", r.to, err)
		}
	}
	for _, f := range stale {
		if f.New == nil {
			if err := os.Remove(filepath.Join(root, filepath.FromSlash(f.Path))); err != nil {
				return fmt.Errorf("removing a file that is no longer generated: %w", err)
			}
		}
		a.terminal.result("%s", f.Path)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// stageBeside writes content to a new file in the directory of target, with the permissions of target.
func stageBeside(target string, content []byte) (temp string, err error) {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(target); err == nil {
		mode = info.Mode().Perm()
	}
	temp = filepath.Join(filepath.Dir(target), ".multiarch-"+rand.Text())
	return temp, atomicfile.Stage(temp, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}
