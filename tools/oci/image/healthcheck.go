package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Healthcheck is a health check with the fields and JSON names of Docker's image config: durations
// are nanoseconds, and zero means the runtime's default.
type Healthcheck struct {
	// Test is NONE, or CMD with arguments, or CMD-SHELL with a command for the image's shell. If it
	// is empty, that of the base is used.
	Test          []string      `json:"Test,omitempty"`
	Interval      time.Duration `json:"Interval,omitempty"`
	Timeout       time.Duration `json:"Timeout,omitempty"`
	StartPeriod   time.Duration `json:"StartPeriod,omitempty"`
	StartInterval time.Duration `json:"StartInterval,omitempty"`
	Retries       int           `json:"Retries,omitempty"`
}

// errNoTest is returned for a health check that only changes the timing of the base's if the base
// has none.
var errNoTest = errors.New("healthcheck: no test given, and the base has none")

// on returns the health check as JSON. Without a test of its own, unset fields are taken from the
// base.
func (h Healthcheck) on(base json.RawMessage) (json.RawMessage, error) {
	if len(h.Test) == 0 {
		own, err := json.Marshal(h)
		if err != nil {
			return nil, fmt.Errorf("encoding the health check: %w", err)
		}
		under := map[string]json.RawMessage{}
		if err := errors.Join(unmarshalIf(base, &under), unmarshalIf(own, &under)); err != nil {
			return nil, fmt.Errorf("parsing the health check of the base: %w", err)
		}
		if len(under["Test"]) == 0 || string(under["Test"]) == "null" {
			return nil, errNoTest
		}
		return json.Marshal(under)
	}
	return json.Marshal(h)
}

func unmarshalIf(content json.RawMessage, v any) error {
	if len(content) == 0 {
		return nil
	}
	return json.Unmarshal(content, v)
}
