package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Healthcheck defines how a container runtime checks a container's health, as in Compose files.
type Healthcheck struct {
	Test          HealthTest     `yaml:"test,omitempty"`
	Interval      HealthDuration `yaml:"interval,omitempty"`
	Timeout       HealthDuration `yaml:"timeout,omitempty"`
	StartPeriod   HealthDuration `yaml:"start_period,omitempty"`
	StartInterval HealthDuration `yaml:"start_interval,omitempty"`
	Retries       int            `yaml:"retries,omitempty" jsonschema:"minimum=0"`
	Disable       bool           `yaml:"disable,omitempty"`
}

// HealthTest is the command of a health check as in an image config: NONE, CMD with arguments, or
// CMD-SHELL with a command.
type HealthTest []string

// Values of the first word of a HealthTest.
const (
	healthNone  = "NONE"
	healthCmd   = "CMD"
	healthShell = "CMD-SHELL"
)

// HealthDuration is a duration of at least a millisecond, or zero for the runtime's default.
type HealthDuration time.Duration

// UnmarshalText reads what Go's time.ParseDuration does.
func (d *HealthDuration) UnmarshalText(text []byte) error {
	const hint = "write a number and a unit, such as 30s or 1m30s"
	parsed, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return hinted(fmt.Errorf("invalid duration %q", text), hint)
	case parsed < 0, parsed > 0 && parsed < time.Millisecond:
		return hinted(fmt.Errorf("duration %q is less than a millisecond", text), hint)
	}
	*d = HealthDuration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d HealthDuration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UsesShell reports whether the check needs a shell in the image.
func (h Healthcheck) UsesShell() bool { return len(h.Test) > 0 && h.Test[0] == healthShell }

// with returns h with the fields of over applied.
func (h *Healthcheck) with(over Healthcheck) *Healthcheck {
	var merged Healthcheck
	if h != nil {
		merged = *h
	}
	if over.Disable {
		return &Healthcheck{Disable: true, Test: HealthTest{healthNone}}
	}
	if over.Test != nil {
		merged.Test, merged.Disable = over.Test, false
	}
	replace(&merged.Interval, over.Interval)
	replace(&merged.Timeout, over.Timeout)
	replace(&merged.StartPeriod, over.StartPeriod)
	replace(&merged.StartInterval, over.StartInterval)
	replace(&merged.Retries, over.Retries)
	return &merged
}

// decodeHealthTest reads a list as in image configs, or a shell command.
func (r *reader) decodeHealthTest(n *yaml.Node, path Path, v reflect.Value) {
	if n.Kind == yaml.ScalarNode {
		var command Text
		r.decode(n, path, reflect.ValueOf(&command).Elem())
		switch word, rest, _ := strings.Cut(string(command), " "); {
		case command == healthNone:
			v.Set(reflect.ValueOf(HealthTest{healthNone}))
		case strings.TrimSpace(string(command)) == "":
			r.failAt(n, path, hinted(errors.New("is empty"), "write a command, or [CMD, PROGRAM, ARGUMENT...]"))
		case word == healthCmd || word == healthShell:
			r.failAt(n, path, hinted(fmt.Errorf("a string is a shell command, and %s is not one", word),
				"write "+strconv.Quote(strings.TrimSpace(rest))+", or a list: [CMD, PROGRAM, ARGUMENT...]"))
		default:
			v.Set(reflect.ValueOf(HealthTest{healthShell, string(command)}))
		}
		return
	}
	var words []Text
	before := len(r.errs)
	r.decode(n, path, reflect.ValueOf(&words).Elem())
	if len(r.errs) > before {
		return
	}
	var test HealthTest
	for _, w := range words {
		test = append(test, string(w))
	}
	v.Set(reflect.ValueOf(test))
	if err := test.check(); err != nil {
		r.failAt(n, path, err)
	}
}

func (t HealthTest) check() error {
	known := []string{healthCmd, healthShell, healthNone}
	switch {
	case len(t) == 0:
		return hinted(errors.New("is empty"), "write [CMD, PROGRAM, ARGUMENT...], or [NONE] for no check")
	case !slices.Contains(known, t[0]):
		hint := "start the list with CMD: [CMD, " + strings.Join(t, ", ") + "]"
		if near := suggest.Of(t[0], known); near != "" {
			hint = "did you mean " + near + "?"
		}
		return hinted(fmt.Errorf("starts with %q instead of CMD, CMD-SHELL or NONE", t[0]), hint)
	case t[0] == healthNone && len(t) > 1:
		return hinted(errors.New("NONE takes no arguments"), "write [NONE], or [CMD, PROGRAM, ARGUMENT...]")
	case t[0] == healthCmd && (len(t) < 2 || t[1] == ""):
		return hinted(errors.New("no program given"), "write [CMD, PROGRAM, ARGUMENT...]")
	case t[0] == healthShell && (len(t) != 2 || strings.TrimSpace(t[1]) == ""):
		return hinted(errors.New("CMD-SHELL takes one command"),
			`write the command as one string: [CMD-SHELL, "curl -f http://localhost/"]`)
	}
	return nil
}

// checkHealth reports conflicting keys of a health check.
func (r *reader) checkHealth(at Path, h Healthcheck) {
	if h.Retries < 0 {
		r.fail(at.to("retries"), "", "must not be negative, got %d", h.Retries)
	}
	disabled := h.Disable || len(h.Test) > 0 && h.Test[0] == healthNone
	if h.Disable && len(h.Test) > 0 && h.Test[0] != healthNone {
		r.fail(at.to("disable"), "remove disable: or test:", "cannot be combined with test")
	} else if disabled &&
		(h.Interval != 0 || h.Timeout != 0 || h.StartPeriod != 0 || h.StartInterval != 0 || h.Retries != 0) {
		r.fail(at, "remove the other keys", "a disabled check cannot have an interval, timeout or retries")
	}
}
