package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/multiarch-build/multiarch/tools/base/pull"
	"github.com/multiarch-build/multiarch/tools/base/static"
	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/release"
	"github.com/multiarch-build/multiarch/tools/spec/config"
	"github.com/multiarch-build/multiarch/tools/spec/lock"
)

// lockOf returns the lock file of a configuration.
func lockOf(file string) string { return filepath.Join(filepath.Dir(file), lock.Name) }

// locking is shared by the commands lock and outdated.
type locking struct {
	top   string // root of the tree
	file  string // multiarch.lock
	old   *lock.File
	wants []lock.Requirement
	hosts map[string]registry.Host
}

func (a *app) locking() (*locking, error) {
	file, err := a.find()
	if err != nil {
		return nil, err
	}
	c, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	static, err := static.Lock()
	if err != nil {
		return nil, err
	}
	l := &locking{top: config.Top(file), file: lockOf(file), wants: lock.Requirements(c, &static), hosts: release.Hosts(c)}
	l.old, err = lock.Load(file)
	return l, err
}

// noWants explains why there is nothing to lock.
const noWants = "no image has a base other than scratch"

// named returns the requirements of the named bases, or of all.
func (l *locking) named(names []string) ([]lock.Requirement, error) {
	if len(names) == 0 {
		return l.wants, nil
	}
	var known []string
	for _, w := range l.wants {
		known = append(known, w.Name)
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, usagef(hintOf(n, known), "no image has a locked base called %q", n)
		}
	}
	return slices.DeleteFunc(slices.Clone(l.wants), func(w lock.Requirement) bool {
		return !slices.Contains(names, w.Name)
	}), nil
}

func (a *app) lockCommand() *cobra.Command {
	var (
		check, update bool
		o             buildFlags
	)
	cmd := &cobra.Command{
		Use:   "lock [--check | --update [BASE...]]",
		Short: "Pin every base image and package, per platform",
		Long: `Resolve the bases of multiarch.yaml and write their digests and versions to multiarch.lock. Builds then use
exactly these. Bases that are already locked stay unchanged unless --update is set.

Debian suites include their security and updates archives, unless the base has security: false. The static base
is part of multiarch; its versions are recorded so that upgrades are noticed. Prints one line per change.`,
		Example: `  multiarch lock
  multiarch lock --update python
  multiarch lock --check`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			l, err := a.locking()
			switch {
			case err != nil:
				return err
			case check && update:
				return usagef("--check only compares", "--check and --update cannot be combined")
			case len(names) > 0 && !update:
				return usagef("lock always adds missing bases; to resolve this one again, use --update", "BASE requires --update")
			case check:
				return a.checkLock(l)
			}
			again, err := l.named(names)
			if err != nil {
				return err
			}
			var refresh []lock.Requirement
			for _, w := range l.wants {
				named := update && slices.ContainsFunc(again, func(a lock.Requirement) bool { return a.Name == w.Name })
				if named || l.old.StaleBase(w) != nil || w.Static != nil && !l.old.Records(w.Name) {
					refresh = append(refresh, w)
				}
			}
			found, err := a.resolve(cmd.Context(), o, l, refresh)
			if err != nil {
				return err
			}
			if err := a.list(cmd.Context(), o, l.hosts, found); err != nil {
				return err
			}
			return a.writeLock(l, found)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing, offline; exit with 4 if the lock file is stale")
	cmd.Flags().BoolVar(&update, "update", false, "also update bases that are already locked")
	o.jobsAndInsecure(cmd)
	return cmd
}

func (a *app) checkLock(l *locking) error {
	stale := l.old.Stale(l.wants)
	for _, s := range stale {
		a.terminal.result("%s", s)
	}
	if len(stale) == 0 {
		a.noteUnrecorded(l.old, l.wants)
		return nil
	}
	fmt.Fprintf(a.terminal.err, "%s is stale\nhint: %s\n", l.file, stale[0].Hint())
	return errDiffers
}

// noteUnrecorded reports static bases that are missing from the lock file, which earlier versions did not record.
func (a *app) noteUnrecorded(old *lock.File, wants []lock.Requirement) {
	for _, w := range wants {
		if w.Static != nil && !old.Records(w.Name) {
			a.terminal.note("base %s is not recorded in %s, so changes to it go unnoticed; run: multiarch lock", w.Name,
				lock.Name)
		}
	}
}

// resolve looks up the current state of bases in parallel. The error holds all failures.
func (a *app) resolve(ctx context.Context, o buildFlags, l *locking,
	wants []lock.Requirement) (map[string]lock.Base, error) {
	progress := a.terminal.progress()
	defer progress.finish()
	client := a.client(o.insecure, o.jobs)
	client.Hosts = l.hosts
	found := make([]lock.Base, len(wants))
	failed := make([]error, len(wants))
	var group errgroup.Group
	for i, w := range wants {
		group.Go(func() error {
			defer progress.start(w.Name, "resolve").Done()
			switch {
			case w.Static != nil:
				found[i].Static = w.Static
			case w.Base.Image != "":
				found[i].Image, failed[i] = pull.Resolve(ctx, client, w)
			case w.Base.Debian != nil:
				found[i].Debian, failed[i] = lockPackages(ctx, w, l.top, progress)
			}
			return nil
		})
	}
	_ = group.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	all := map[string]lock.Base{}
	for i, w := range wants {
		all[w.Name] = found[i]
	}
	return all, nil
}

// writeLock writes the bases that were found and those of the old lock file, unless nothing changed.
func (a *app) writeLock(l *locking, found map[string]lock.Base) error {
	next := &lock.File{Bases: map[string]lock.Base{}}
	for _, w := range l.wants {
		b, fresh := found[w.Name]
		if !fresh {
			b = l.old.Bases[w.Name]
		}
		next.Bases[w.Name] = b
	}
	content, err := next.Format()
	if err != nil {
		return err
	}
	old, err := inputfile.ReadFile(l.file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(next.Bases) == 0:
		a.terminal.note("nothing to lock: %s", noWants)
		return nil
	case err == nil && bytes.Equal(old, content):
		a.terminal.note("%s is up to date", l.file)
		return nil
	}
	if err := writeFile(l.file, content); err != nil {
		return fmt.Errorf("writing %s: %w", l.file, err)
	}
	for _, c := range lock.Changes(l.old, next) {
		a.terminal.result("%s", c)
	}
	return nil
}

func (a *app) outdatedCommand() *cobra.Command {
	var o buildFlags
	cmd := &cobra.Command{
		Use:   "outdated [BASE...]",
		Short: "List bases that have changed since they were locked",
		Long: `Compare the locked bases with their registries and Debian archives. Prints one line per image or
package that has changed, and marks security updates. Writes nothing. Exits with 4 if anything has changed; to
update the lock file, run "multiarch lock --update".`,
		Example: `  multiarch outdated
  multiarch outdated python`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			l, err := a.locking()
			if err != nil {
				return err
			}
			refresh, err := l.named(names)
			if err != nil {
				return err
			}
			if len(refresh) == 0 {
				a.terminal.note("nothing is locked: %s", noWants)
				return nil
			}
			a.noteUnrecorded(l.old, refresh)
			refresh = slices.DeleteFunc(slices.Clone(refresh), func(w lock.Requirement) bool {
				return w.Static != nil && !l.old.Records(w.Name)
			})
			for _, w := range refresh {
				if err := l.old.Covers(w); err != nil {
					return usagef(err.Hint(), "%w", err)
				}
			}
			found, err := a.resolve(cmd.Context(), o, l, refresh)
			if err != nil {
				return err
			}
			next := &lock.File{Bases: map[string]lock.Base{}}
			if l.old != nil {
				maps.Copy(next.Bases, l.old.Bases)
			}
			for name, b := range found {
				next.Bases[name] = b
			}
			changes := lock.Changes(l.old, next)
			for _, c := range changes {
				a.terminal.result("%s", c)
			}
			if len(changes) > 0 {
				return errDiffers
			}
			return nil
		},
	}
	o.jobsAndInsecure(cmd)
	return cmd
}
