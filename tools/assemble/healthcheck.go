package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/multiarch-build/multiarch/tools/oci/image"
)

// healthcheckFile is a health check in a rule. Durations have the syntax of Go: 1m30s.
type healthcheckFile struct {
	Test          []string `json:"test"`
	Interval      string   `json:"interval"`
	Timeout       string   `json:"timeout"`
	StartPeriod   string   `json:"start_period"`
	StartInterval string   `json:"start_interval"`
	Retries       string   `json:"retries"`
}

// settings returns the health check of an image config.
func (f healthcheckFile) settings() (*image.Healthcheck, error) {
	h := &image.Healthcheck{Test: f.Test}
	for _, d := range []struct {
		key, value string
		to         *time.Duration
	}{
		{"interval", f.Interval, &h.Interval}, {"timeout", f.Timeout, &h.Timeout},
		{"start_period", f.StartPeriod, &h.StartPeriod}, {"start_interval", f.StartInterval, &h.StartInterval},
	} {
		if d.value == "" {
			continue
		}
		var err error
		if *d.to, err = time.ParseDuration(d.value); err != nil || *d.to < 0 {
			return nil, &hintError{
				fmt.Errorf("healthcheck: %s: invalid duration %q", d.key, d.value),
				"use a number and a unit, such as 30s or 1m30s",
			}
		}
	}
	if f.Retries != "" {
		var err error
		if h.Retries, err = strconv.Atoi(f.Retries); err != nil || h.Retries < 0 {
			return nil, fmt.Errorf("healthcheck: retries: invalid number %q", f.Retries)
		}
	}
	return h, nil
}
