package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// action is an entry of Bazel's execution log: SpawnExec in spawn.proto, as JSON.
type action struct {
	Mnemonic string `json:"mnemonic"`
	Metrics  struct {
		TotalTime string `json:"totalTime"` // such as 0.012s
	} `json:"metrics"`
	ActualOutputs []struct {
		Digest struct {
			SizeBytes string `json:"sizeBytes"`
		} `json:"digest"`
	} `json:"actualOutputs"`
}

// actions are the actions of a build, by mnemonic.
type actions map[string][]ran

type ran struct {
	took   time.Duration
	output int64 // bytes
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
			size, err := strconv.ParseInt(cmp.Or(o.Digest.SizeBytes, "0"), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("reading the execution log: %w", err)
			}
			one.output += size
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

func (a actions) bytes(mnemonic string) (sum int64) {
	for _, one := range a[mnemonic] {
		sum += one.output
	}
	return sum
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
