package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/build"
	"github.com/multiarch-build/multiarch/tools/oci/content"
	"github.com/multiarch-build/multiarch/tools/oci/join"
	"github.com/multiarch-build/multiarch/tools/oci/layout"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/source"
	"github.com/multiarch-build/multiarch/tools/publish/push"
	"github.com/multiarch-build/multiarch/tools/publish/release"
)

const (
	// mergeAttempts limits retries after concurrent changes. Not all writers can fail: in each round, the last one wins.
	mergeAttempts = 50
	// Registries have no conditional tag update, so another process that read the tag earlier may still overwrite it.
	// The pause before reading back is derived from how long this process took to write.
	shortestPause = 100 * time.Millisecond
	longestPause  = 2 * time.Second
)

// indexChange is one run of index create.
type indexChange struct {
	*app
	cmd     *cobra.Command
	flags   indexFlags
	client  registry.Client
	request *request
	sources *release.Sources
}

// create writes an index and replaces TARGET if it exists.
func (c *indexChange) create(j *release.Joined) error {
	c.note(j)
	if c.flags.dry {
		return c.dryIndex(c.request, j)
	}
	references, err := c.write(j, nil)
	if err != nil {
		return err
	}
	return c.result(j, references)
}

func (c *indexChange) note(j *release.Joined) {
	for _, note := range j.Notes {
		c.terminal.note("%s", note)
	}
}

func (c *indexChange) result(j *release.Joined, references []string) error {
	name := c.request.target.repository
	if c.request.target.dir != "" {
		name = c.request.target.name
	}
	return c.report(c.flags.buildFlags, []build.Result{{Name: name, Index: j.Index}},
		map[string][]string{name: references})
}

// change adds images to the index at TARGET, or removes them. It merges concurrent changes.
func (c *indexChange) change() error {
	moves := c.request.target.dir != "" || slices.Contains(c.request.tags, c.request.target.tag)
	var noted bool
	for attempt := 1; ; attempt++ {
		onto, err := c.current()
		if err != nil {
			return err
		}
		j, err := c.merge(onto, attempt > 1)
		var listed *join.MissingError // of a source
		if c.request.target.dir != "" && source.IsMissing(err) && !errors.As(err, &listed) && attempt < mergeAttempts {
			continue // another process has replaced it and removed its blob since it was opened
		}
		if err != nil {
			return err
		}
		if !noted {
			c.note(j)
			noted = true
		}
		if c.flags.dry {
			return c.dryIndex(c.request, j)
		}
		begin := time.Now()
		expected := onto
		if !moves {
			expected = nil // another tag moves
		}
		references, err := c.write(j, expected)
		pause := min(max(time.Since(begin)/3, shortestPause), longestPause)
		switch overtaken := isOvertaken(err); {
		case err != nil && (!overtaken || attempt == mergeAttempts):
			return err
		case !overtaken:
			lasting := !moves || c.request.target.dir != ""
			if !lasting {
				if lasting, err = c.lasts(j, onto, pause); err != nil {
					return err
				}
			}
			if lasting {
				return c.result(j, references)
			}
			if attempt == mergeAttempts {
				return &pushError{fmt.Errorf("%s: overwritten by other processes %d times", c.request.target.given, attempt)}
			}
		}
		c.terminal.note("%s was changed by another process; merging both changes", c.request.target.given)
		if err := sleep(c.cmd.Context(), rand.N(pause*time.Duration(min(attempt, 5)))); err != nil {
			return err
		}
	}
}

// isOvertaken reports whether another process prevented or overwrote a change.
func isOvertaken(err error) bool {
	var (
		entry     *layout.ChangedError
		tag       *push.ChangedError
		overtaken *push.OverwrittenError
	)
	return errors.As(err, &entry) || errors.As(err, &tag) || errors.As(err, &overtaken)
}

// currentIndex is the index at TARGET.
type currentIndex struct {
	source *join.Source // nil if it does not exist
	digest v1.Hash
	close  func() error
}

// current opens TARGET.
func (c *indexChange) current() (*currentIndex, error) {
	s, err := source.Open(c.cmd.Context(), c.client, c.request.target.given)
	if err != nil {
		if c.flags.create && (source.IsMissing(err) || c.request.target.isNewLayout()) {
			return &currentIndex{}, nil
		}
		hint := "--append and --remove change an existing index; use --append --create to create it"
		return nil, &release.SourceError{Err: fmt.Errorf("the index to change: %w", err), Advice: hint}
	}
	return &currentIndex{
		&join.Source{Name: c.request.target.given, Image: s.Image, Index: s.Index}, s.Root.Digest, s.Close,
	}, nil
}

// isNewLayout reports whether t is a layout that does not exist.
func (t target) isNewLayout() bool {
	if t.dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(t.dir, layout.MarkerFile))
	return errors.Is(err, os.ErrNotExist)
}

// merge applies the change. If again is true, platforms to remove may already be gone.
func (c *indexChange) merge(onto *currentIndex, again bool) (*release.Joined, error) {
	options := c.request.options
	options.Onto, options.Copy = onto.source, false
	for {
		j, err := c.sources.Join(options)
		var absent *join.AbsentError
		if !again || !errors.As(err, &absent) || absent.Source == "" {
			return j, err
		}
		n := len(options.Remove)
		options.Remove = slices.DeleteFunc(slices.Clone(options.Remove), func(p v1.Platform) bool {
			return join.Written(p) == absent.Platform
		})
		if len(options.Remove) == n {
			return nil, err
		}
	}
}

// write writes the index. TARGET must still be onto, unless that is nil.
func (c *indexChange) write(j *release.Joined, onto *currentIndex) ([]string, error) {
	digest, err := j.Index.Digest()
	if err != nil {
		return nil, err
	}
	t := c.request.target
	if t.dir != "" {
		image := content.Image{Name: t.name, Index: j.Index, Present: j.Present, Annotations: c.request.entryAnnotations}
		if onto == nil {
			err = layout.Add(c.cmd.Context(), t.dir, []content.Image{image})
		} else {
			err = layout.Replace(c.cmd.Context(), t.dir, image, onto.digest)
		}
		return []string{t.given + "@" + digest.String()}, err
	}
	goal := push.Target{
		Name: t.repository, Index: j.Index, Repository: t.repository, Tags: slices.Clone(c.request.tags),
		Sources: j.Repositories, Present: j.Present,
	}
	if onto != nil {
		goal.Expect, goal.ExpectMissing = onto.digest, onto.source == nil
		at := slices.Index(goal.Tags, t.tag)
		goal.Tags[0], goal.Tags[at] = goal.Tags[at], goal.Tags[0] // Onto is about the first tag
	}
	pushed, err := c.transfer(c.cmd, c.flags.buildFlags, c.client.Hosts, []push.Target{goal})
	var references []string
	for _, one := range pushed {
		references = append(references, withDigest(one))
	}
	return references, err
}

// lasts reads TARGET twice, after a pause each time, and reports whether it still has the change.
func (c *indexChange) lasts(j *release.Joined, onto *currentIndex, pause time.Duration) (bool, error) {
	for range 2 {
		if err := sleep(c.cmd.Context(), pause/2+rand.N(pause)); err != nil {
			return false, &pushError{
				fmt.Errorf("%s was pushed; waiting for concurrent changes: %w", c.request.target.given, err),
			}
		}
		now, err := c.current()
		if err != nil {
			return false, &pushError{fmt.Errorf("%s was pushed; reading it back: %w", c.request.target.given, err)}
		}
		if now.source == nil {
			return false, nil
		}
		holds, err := c.holds(j, onto, now)
		if err = errors.Join(err, now.close()); err != nil || !holds {
			return holds, err
		}
	}
	return true, nil
}

// holds reports whether now, the current index at TARGET, has the change.
func (c *indexChange) holds(j *release.Joined, onto, now *currentIndex) (bool, error) {
	digest, err := j.Index.Digest()
	if err != nil || now.digest == digest {
		return err == nil, err
	}
	again, err := c.merge(now, true)
	if err != nil {
		var twice *join.DuplicateError
		if errors.As(err, &twice) {
			return false, nil // the next attempt reports it
		}
		return false, err
	}
	if same, err := again.Index.Digest(); err != nil || same == now.digest {
		return err == nil, err
	}
	return c.flags.replace && len(c.request.options.Remove) == 0 && join.Superseded(j.Joined, onto.source, now.source), nil
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dryIndex prints the index instead of pushing it.
func (a *app) dryIndex(r *request, j *release.Joined) error {
	digest, err := j.Index.Digest()
	if err != nil {
		return err
	}
	manifest, err := j.Index.IndexManifest()
	if err != nil {
		return err
	}
	a.terminal.note("%s would be %s", r.target.given, digest)
	return a.terminal.json(manifest)
}
