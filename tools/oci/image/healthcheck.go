package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Healthcheck is how a container runtime finds out whether a container works. The fields, and their names in JSON, are
// those of Docker's image config: durations are nanoseconds, and what is zero is the runtime's default.
type Healthcheck struct {
	// Test is NONE, or CMD and arguments, or CMD-SHELL and a command for the image's shell. Without one the base's is run.
	Test          []string      `json:"Test,omitempty"`
	Interval      time.Duration `json:"Interval,omitempty"`
	Timeout       time.Duration `json:"Timeout,omitempty"`
	StartPeriod   time.Duration `json:"StartPeriod,omitempty"`
	StartInterval time.Duration `json:"StartInterval,omitempty"`
	Retries       int           `json:"Retries,omitempty"`
}

// errNoTest is returned for a health check that changes only how often a base's is run, on a base that has none.
var errNoTest = errors.New("healthcheck: has no test, and neither has the base")

// on returns the health check in JSON, with what it leaves open from the base's if it has no test of its own.
func (h Healthcheck) on(base json.RawMessage) (json.RawMessage, error) {
	if len(h.Test) == 0 {
		own, err := json.Marshal(h)
		if err != nil {
			return nil, fmt.Errorf("writing the healthcheck: %w", err)
		}
		under := map[string]json.RawMessage{}
		if err := errors.Join(unmarshalIf(base, &under), unmarshalIf(own, &under)); err != nil {
			return nil, fmt.Errorf("reading the healthcheck of the base: %w", err)
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
