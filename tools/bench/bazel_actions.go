package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// action is an entry of Bazel's execution log: SpawnExec in spawn.proto, as JSON.
type action struct {
	Mnemonic string `json:"mnemonic"`
	Metrics  struct {
		TotalTime string `json:"totalTime"` // such as 0.012s
	} `json:"metrics"`
	ActualOutputs []struct {
		Path string `json:"path"` // relative to the execution root
	} `json:"actualOutputs"`
}

// actions are the actions of a build, by mnemonic.
type actions map[string][]ran

type ran struct {
	took    time.Duration
	outputs []string // relative to the execution root
}

// readActions reads an execution log, a sequence of JSON objects.
func readActions(r io.Reader) (actions, error) {
	all := actions{}
	for d := json.NewDecoder(r); ; {
		var a action
		if err := d.Decode(&a); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the execution log: %w", err)
		}
		var one ran
		if a.Metrics.TotalTime != "" {
			var err error
			if one.took, err = time.ParseDuration(a.Metrics.TotalTime); err != nil {
				return nil, fmt.Errorf("reading the execution log: %w", err)
			}
		}
		for _, o := range a.ActualOutputs {
			one.outputs = append(one.outputs, o.Path)
		}
		all[a.Mnemonic] = append(all[a.Mnemonic], one)
	}
}

// check returns an error unless a subject ran all expected actions.
func (a actions) check(s subject, services, platforms int) error {
	for _, kind := range []struct {
		mnemonic string
		want     int
	}{{s.layers, services * platforms}, {s.manifests, services * platforms}, {s.indexes, services}} {
		if got := len(a[kind.mnemonic]); got != kind.want && kind.mnemonic != "" {
			return fmt.Errorf("%s: expected %d actions %s, got %d", s.name, kind.want, kind.mnemonic, got)
		}
	}
	return nil
}

func (a actions) time(mnemonic string) (sum time.Duration) {
	for _, one := range a[mnemonic] {
		sum += one.took
	}
	return sum
}

// bytes returns the size of the outputs of an action on disk. The log has the size of the file that a symbolic link
// points to, so it is of no use. Neither symbolic links nor hard links to outputs of the action linked take space.
func (a actions) bytes(root, mnemonic, linked string) (sum int64, err error) {
	sources := map[int64][]fs.FileInfo{} // by size
	for _, one := range a[linked] {
		for _, name := range one.outputs {
			if info, err := os.Lstat(filepath.Join(root, name)); err == nil {
				sources[info.Size()] = append(sources[info.Size()], info)
			}
		}
	}
	for _, one := range a[mnemonic] {
		for _, name := range one.outputs {
			info, err := os.Lstat(filepath.Join(root, name))
			if err != nil {
				return 0, fmt.Errorf("measuring the outputs of %s: %w", mnemonic, err)
			}
			isLink := func(source fs.FileInfo) bool { return os.SameFile(source, info) }
			if info.Mode().IsRegular() && !slices.ContainsFunc(sources[info.Size()], isLink) {
				sum += info.Size()
			}
		}
	}
	return sum, nil
}

// ofBazel returns the sorted series of a quantity.
func ofBazel[T ~int64](costs []bazelCost, quantity func(bazelCost) T) series[T] {
	var s series[T]
	for _, c := range costs {
		s = append(s, quantity(c))
	}
	slices.Sort(s)
	return s
}
